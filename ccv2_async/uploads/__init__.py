"""Uploads of single files, including those whose response was lost."""

SETTLE_TIME = 15.0
"""The default number of seconds of looks before a file counts as not arrived."""
