"""The transport: send one call to the service, and return its response."""
