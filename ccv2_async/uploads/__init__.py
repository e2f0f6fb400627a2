"""Uploads of single files, including those whose response was lost."""
