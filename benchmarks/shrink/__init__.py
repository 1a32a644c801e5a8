"""How small models become, beside what other tools make of them."""
