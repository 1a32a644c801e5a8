"""A built function, or a model, on localhost: its own routes over HTTP, and a page to try it."""
