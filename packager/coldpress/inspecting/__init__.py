"""What a model costs and what could be gained, told from the file alone: nothing here runs it."""
