"""Make a folder of the library like a local one, and remember what is in step."""
