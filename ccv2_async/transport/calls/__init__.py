"""Calls: how one call is signed, sent, judged, and retried."""

OUTAGE_TIMEOUT = 900.0
"""The default number of seconds of an outage after which a bulk upload stops."""
