"""Backup: everything that a key can read, in files that outlive this package."""
