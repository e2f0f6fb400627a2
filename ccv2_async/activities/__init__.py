"""Bulk activities: what starts them, what follows them, and the files they take."""
