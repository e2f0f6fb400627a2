"""What the sandbox remembers, one module an area; rules of the service, no HTTP."""
