"""Long-running jobs: pollers, their schedule, and the sweep that asks for all of them together."""
