"""What each target's adapter costs above the service, its provider's empty function, and AWS's bundle."""
