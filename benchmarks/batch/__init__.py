"""How fast files are scored, beside the scripts that people write for it."""
