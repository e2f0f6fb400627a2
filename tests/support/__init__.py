"""Helpers for tests: clocks that the test moves, servers that misbehave, and probes."""
