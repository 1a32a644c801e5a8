"""How a container answers, beside the servers that people write themselves."""
