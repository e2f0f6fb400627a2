"""The rows of the contract, one module a group of the client."""
