"""Requests that a model can be run on: the user's, or found by trying; and the one it warms up on."""
