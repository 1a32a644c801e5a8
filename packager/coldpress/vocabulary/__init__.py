"""Taking words out of a text model that its texts never use: from its tokenizer and from its embedding at once."""
