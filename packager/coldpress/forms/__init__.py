"""The forms in which a model can ship, each built, checked and measured; one is chosen."""
