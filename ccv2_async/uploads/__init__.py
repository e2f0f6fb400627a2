"""Uploads: one file, and what became of it when its answer was lost."""
