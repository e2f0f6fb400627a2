"""Measure the client against its peers: `python -m benchmarks --json FILE`."""
