"""Make a library folder match a local one, and remember which files are in sync."""
