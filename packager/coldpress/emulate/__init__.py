"""Run a built function on this machine the way its provider does."""

__all__: list[str] = []
