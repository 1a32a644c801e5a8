"""Encodings: one way a file of storing a weight in fewer bytes, or of computing with it as it is stored."""
