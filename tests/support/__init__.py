"""What several tests lean on: clocks that the test moves, servers that misbehave, and probes."""
