"""Where documentation, samples and SDKs disagree: each test names its row of the reference."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccv2_async import errors
from ccv2_async.models import (
    FileSource,
    FileType,
    FileUploadStatus,
    LibraryFile,
    LibraryFolder,
    LibraryInfo,
    Thumbnail,
    UsageSummary,
    decode,
    structure,
    unstructure,
)

FILE: dict[str, Any] = {"id": "4", "name": "menu.pdf"}


def test_row_1_a_folder_id_is_any_text() -> None:
    for folder_id in ("-1", "0", "-14", "abc"):
        assert structure(LibraryFile, FILE | {"folder_id": folder_id}).folder_id == folder_id


@pytest.mark.parametrize("word", ["MYCOMPUTER", "MyComputer", "mycomputer"])
def test_row_6_a_source_is_the_same_in_any_case(word: str) -> None:
    file = structure(LibraryFile, FILE | {"source": word})
    assert file.source is FileSource.MY_COMPUTER
    assert unstructure(file)["source"] == "MyComputer"


def test_row_8_every_type_of_any_list_is_known_and_others_pass_through() -> None:
    for word in ("JPEG", "JPG", "GIF", "PNG", "PDF", "DOC", "DOCX", "XLS", "XLSX", "PPT", "PPTX"):
        assert structure(LibraryFile, FILE | {"file_type": word}).file_type is FileType(word)
    assert structure(LibraryFile, FILE | {"file_type": "WEBP"}).file_type == "WEBP"


def test_row_9_the_trash_says_type_for_file_type_and_gets_it_back() -> None:
    row = FILE | {"type": "PDF", "status": "Deleted"}
    file = structure(LibraryFile, row)
    assert file.file_type is FileType.PDF
    assert unstructure(file) == row


def test_row_9_with_both_names_nothing_is_lost() -> None:
    row = FILE | {"type": "PDF", "file_type": "JPG"}
    file = structure(LibraryFile, row)
    assert file.file_type is FileType.JPG
    assert unstructure(file) == row


@pytest.mark.parametrize("wrapped", [False, True])
def test_row_12_library_info_is_an_object_or_a_list_of_one(wrapped: bool) -> None:
    info = {"max_upload_size_limit": 5242880, "usage_summary": {"file_count": 637}}
    content = json.dumps([info] if wrapped else info).encode()
    assert decode(LibraryInfo, content) == LibraryInfo(
        max_upload_size_limit=5242880, usage_summary=UsageSummary(file_count=637)
    )


def test_row_12_an_empty_list_is_no_library_info() -> None:
    with pytest.raises(errors.DecodeError):
        decode(LibraryInfo, b"[]")


@pytest.mark.parametrize("value", [{"width": 3}, [{"width": 3}], [{"width": 3}, {"width": 4}]])
def test_row_13_a_thumbnail_in_a_list_is_the_first_one(value: object) -> None:
    assert structure(LibraryFile, FILE | {"thumbnail": value}).thumbnail == Thumbnail(width=3)


@pytest.mark.parametrize("value", [[], None])
def test_row_13_no_thumbnail_is_none(value: object) -> None:
    assert structure(LibraryFile, FILE | {"thumbnail": value}).thumbnail is None


@pytest.mark.parametrize("value", [None, "", "0", 0])
def test_row_14_a_top_folder_is_known_in_every_form(value: object) -> None:
    folder = structure(LibraryFolder, {"id": "-1", "name": "x", "level": 0, "parent_id": value})
    assert folder.is_top
    assert unstructure(folder).get("parent_id") == (None if value is None else str(value))


@pytest.mark.parametrize("value", ["6", "-6", 6])
def test_row_15_folder_ids_are_opaque_text(value: object) -> None:
    assert structure(LibraryFolder, {"id": value, "name": "x"}).id == str(value)


def test_row_18_a_null_set_of_statuses_is_empty() -> None:
    assert decode(list[FileUploadStatus], b"null") == []
    assert decode(list[FileUploadStatus], b"[]") == []


def test_row_19_a_numeric_file_id_is_the_same_id() -> None:
    row = decode(list[FileUploadStatus], b'[{"file_id":9,"status":"Active"}]')[0]
    assert row.file_id == "9"
