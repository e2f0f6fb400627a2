"""The resource groups: one typed class for each, without HTTP or retry logic."""
