"""The data of the sandbox and the rules of the service, without HTTP: one module for each area."""
