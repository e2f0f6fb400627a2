"""Calls: how one call is signed, sent, judged, and retried."""
