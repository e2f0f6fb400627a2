"""What follows from a job's record."""

from __future__ import annotations

import unicodedata

from ccv2_async.workers.records import lock_of_upload


def test_one_name_has_one_lock_however_its_accents_are_written() -> None:
    composed, in_parts = (unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD"))
    assert composed != in_parts
    assert lock_of_upload("0", composed) == lock_of_upload("0", in_parts)
    assert lock_of_upload("0", composed) != lock_of_upload("1", composed)
    assert lock_of_upload("0", composed) != lock_of_upload("0", "cafe.png")
