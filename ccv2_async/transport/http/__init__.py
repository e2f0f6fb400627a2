"""HTTP: send one request to a server, and return its response."""
