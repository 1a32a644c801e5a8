"""Does a bundle fit its provider: dated limits, whose bytes are whose, and a verdict with what to do next."""
