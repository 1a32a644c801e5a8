"""Making a model smaller: one pass a file; ``strip`` runs those that change no answer."""
