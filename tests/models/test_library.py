from __future__ import annotations

import pickle

import pytest

from ccv2_async.models import (
    FILE_OUTCOMES,
    FileStatus,
    FileUploadStatus,
    LibraryFile,
    LibraryFolder,
    Outcome,
    decode,
    file_outcome,
)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("Uploaded", Outcome.PENDING),
        ("Processing", Outcome.PENDING),
        ("Active", Outcome.SUCCESS),
        ("VirusFound", Outcome.FAILURE),
        ("Failed", Outcome.FAILURE),
        ("Deleted", Outcome.FAILURE),
        ("ACTIVE", Outcome.SUCCESS),
        ("virusfound", Outcome.FAILURE),
        ("Quarantined", Outcome.PENDING),
        ("", Outcome.PENDING),
        (None, Outcome.PENDING),
    ],
)
def test_each_status_has_its_outcome_and_an_unknown_one_is_pending(
    status: str | None, outcome: Outcome
) -> None:
    assert file_outcome(status) is outcome
    assert outcome.is_terminal is (outcome is not Outcome.PENDING)


def test_the_table_of_outcomes_covers_every_status() -> None:
    assert set(FILE_OUTCOMES) == set(FileStatus)


def test_an_upload_status_has_a_state() -> None:
    row = decode(FileUploadStatus, b'{"file_id":"9","status":"VIRUSFOUND"}')
    assert row == FileUploadStatus("9", FileStatus.VIRUS_FOUND)
    assert row.outcome is Outcome.FAILURE


def test_a_file_survives_pickling_with_its_extra_fields() -> None:
    file = decode(LibraryFile, b'{"id":"4","name":"x","new":1,"thumbnail":{"width":3}}')
    assert pickle.loads(pickle.dumps(file)) == file  # noqa: S301  # our own bytes


def test_folders_are_decoded_with_their_subfolders() -> None:
    content = b'{"id":"-1","name":"a","children":[{"id":"-2","name":"b","parent_id":"-1"}]}'
    folder = decode(LibraryFolder, content)
    assert folder.children == (LibraryFolder("-2", "b", "-1"),)
    assert not folder.children[0].is_top
