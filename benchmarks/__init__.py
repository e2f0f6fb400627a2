"""What the client costs, measured beside its peers: `python -m benchmarks --json FILE`."""
