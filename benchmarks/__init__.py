"""How coldpress's functions start cold, beside what people ship otherwise. `make bench` runs it all."""
