"""Sans-IO protocols (bytes in, events out) and the thin transport under them."""
