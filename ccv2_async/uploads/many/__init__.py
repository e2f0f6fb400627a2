"""Bulk uploads: `upload_many`, its journal, and folder trees."""
