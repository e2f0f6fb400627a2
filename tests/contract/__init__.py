"""The contract: every operation of the API, compared with the client and the sandbox."""
