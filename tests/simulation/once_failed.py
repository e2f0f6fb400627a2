"""Seeds that once broke a promise, and what they found; they run before all others."""

from __future__ import annotations

ONCE_FAILED: tuple[tuple[str, int, str], ...] = (
    ("uploads", 20847, "the sandbox answered 500 to listings with a file that is not known yet"),
    ("uploads", 714241, "a file that was not compared counted as the copy of another upload"),
    ("uploads", 8000101, "an attempt that was refused counted as one that may have arrived"),
    ("shared", 7000399, "calls of a killed process that did not reach Redis were to be known"),
    ("activities", 704635, "an export that was cut without a sign was expected to be whole"),
    ("mirror", 50006346, "a run that ended early forgot that a changed file may have arrived"),
    ("uploads", 11, "the journal lost the further copies of a file that failed"),
)
"""The world, the seed, and what it found.

A seed draws something else once the simulation has changed, so each find has a test of its own too.
"""
