"""Bulk activities: how to start and follow them, and the files for them."""
