"""What callers speak, one protocol a module: each turns a body into arrays, asks Serving, and writes the answer."""
