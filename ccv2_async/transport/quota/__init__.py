"""The quota of an API key: in one process, and shared over Redis."""
