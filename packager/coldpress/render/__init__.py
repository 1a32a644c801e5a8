"""Templates and values in, the files of a provider out."""
