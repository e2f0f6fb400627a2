"""Files: the sources of bytes, and the request bodies made from them."""
