"""Many records scored on this machine, or priced: what lies behind ``coldpress score``."""
