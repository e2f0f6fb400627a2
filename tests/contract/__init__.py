"""The contract: every operation of the API, held against the client and the sandbox alike."""
