"""The JSON bodies of the API, one module an area."""
