"""Uploads of single files, including those whose answer was lost."""
