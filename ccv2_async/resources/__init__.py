"""The resource groups: one typed class each, without HTTP or retry logic inside."""
