from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import errors
from ccv2_async.models import (
    Contact,
    EventStatusPatch,
    EventWrite,
    ExportContactsRequest,
    FileStatus,
    FileUploadStatus,
    Item,
    LibraryFile,
    LibraryFolder,
    LibraryInfo,
    Page,
    decode,
    encode,
    hooks,
    structure,
    unstructure,
)
from ccv2_async.models.convert import BadRow, decode_rows

FILE = {"id": "4", "name": "menu.pdf"}


def page_of(*rows: Any, **pagination: Any) -> bytes:
    return json.dumps({"meta": {"pagination": pagination}, "results": list(rows)}).encode()


def refused(model: Any, content: bytes, **options: Any) -> errors.DecodeError:
    with pytest.raises(errors.DecodeError) as caught:
        decode(model, content, **options)
    return caught.value


def test_a_page_has_rows_and_a_next_link() -> None:
    page = decode(Page[LibraryFile], page_of(FILE, next_link="/v2/library/files?next=abc"))
    assert [row.id for row in page.results] == ["4"]
    assert page.next_link == "/v2/library/files?next=abc"


@pytest.mark.parametrize(
    "meta",
    ["{}", "null", '{"pagination":null}', '{"pagination":{}}', '{"pagination":{"next_link":""}}'],
)
def test_the_last_page_has_no_next_link_in_any_spelling(meta: str) -> None:
    page = decode(Page[LibraryFile], f'{{"meta":{meta},"results":[]}}'.encode())
    assert page == Page([], None)


def test_a_page_without_meta_or_with_null_results_is_empty_and_last() -> None:
    assert decode(Page[LibraryFile], b'{"results":null}') == Page([], None)


def test_a_page_without_results_is_refused() -> None:
    problem = refused(Page[LibraryFile], b'{"meta":{}}', what="the listing of files")
    assert problem.where == "results"
    assert str(problem) == "results of the listing of files is missing. None of it was used."


def test_a_page_of_more_rows_than_any_call_can_ask_for_is_refused() -> None:
    # 150,000 files, 10 KB compressed, blocked the event loop of a mirror for a second.
    def page(rows: int) -> bytes:
        return b'{"results":[%s]}' % b",".join([b'{"id":"7","name":"a"}'] * rows)

    assert len(decode_rows(LibraryFile, page(10_000), paged=True).results) == 10_000
    for decoding in (
        lambda: decode_rows(LibraryFile, page(10_001), paged=True, what="library files"),
        lambda: decode(Page[LibraryFile], page(10_001), what="library files"),
    ):
        with pytest.raises(errors.DecodeError) as caught:
            decoding()
        assert str(caught.value) == (
            "results of library files is not a page of at most 10,000 rows: an array of length "
            "10001. None of it was used."
        )


@pytest.mark.parametrize("content", [b"[]", b"null", b"3", b'"x"'])
def test_a_document_that_is_not_a_page_is_refused(content: bytes) -> None:
    assert "is not a page" in str(refused(Page[LibraryFile], content))


@pytest.mark.parametrize(
    "flaw", [{"error": "upstream timed out"}, {"errors": ["x"]}, {"Message": "Forbidden"}]
)
@pytest.mark.parametrize("results", [None, [], [FILE]])
def test_a_page_with_an_error_is_refused(results: Any, flaw: dict[str, Any]) -> None:
    content = json.dumps({"results": results, **flaw}).encode()
    with pytest.raises(errors.DecodeError, match="is not a page without an error"):
        decode_rows(LibraryFile, content, paged=True)
    assert "is not a page without an error" in str(refused(Page[LibraryFile], content))


def test_a_page_may_have_empty_fields_of_an_error() -> None:
    fields = {"results": [FILE], "error": None, "errors": [], "message": "", "more": 1}
    page = decode(Page[LibraryFile], json.dumps(fields).encode())
    assert [row.id for row in page.results] == ["4"]


@pytest.mark.parametrize(
    ("meta", "where"), [('"x"', "meta"), ('{"pagination":[]}', "meta.pagination")]
)
def test_an_error_in_meta_names_its_path(meta: str, where: str) -> None:
    assert refused(Page[LibraryFile], f'{{"meta":{meta},"results":[]}}'.encode()).where == where


def test_a_decode_error_names_the_path_and_shows_a_short_excerpt() -> None:
    problem = refused(
        Page[LibraryFile],
        page_of(FILE, FILE, FILE, FILE | {"size": "many " * 100}),
        what="the listing",
    )
    assert problem.where == "results[3].size"
    assert len(problem.excerpt) <= 80
    assert "results[3].size of the listing is not a whole number: 'many many" in str(problem)


def test_a_deep_decode_error_names_the_full_path() -> None:
    folder = {
        "id": "1",
        "name": "a",
        "children": [{"id": "2", "name": "b", "children": [{"id": "3"}]}],
    }
    problem = refused(list[LibraryFolder], json.dumps([folder]).encode())
    assert problem.where == "[0].children[0].children[0].name"


def test_the_path_starts_at_the_place_the_caller_names() -> None:
    with pytest.raises(errors.DecodeError) as caught:
        structure(LibraryFile, FILE | {"thumbnail": 7}, where="upload[2]")
    assert caught.value.where == "upload[2].thumbnail"
    with pytest.raises(errors.DecodeError) as caught:
        structure(LibraryFile, [], where="upload[2]")
    assert caught.value.where == "upload[2]"
    with pytest.raises(errors.DecodeError) as caught:
        structure(list[LibraryFile], [7], where="upload")
    assert caught.value.where == "upload[0]"


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("name", None, "name of the response is missing"),
        ("name", 1.5, "name of the response is not text: 1.5"),
        ("name", True, "name of the response is not text: true"),
        ("name", ["x"], "name of the response is not text: an array of length 1"),
        ("url", {"a": 1}, "url of the response is not text: an object of size 1"),
        ("size", 1.5, "size of the response is not a whole number: 1.5"),
        ("size", False, "size of the response is not a whole number: false"),
        ("is_image", "yes", "is_image of the response is not true or false: 'yes'"),
        ("status", ["x"], "status of the response is not text: an array of length 1"),
        ("thumbnail", "x", "thumbnail of the response is not an object: 'x'"),
    ],
)
def test_a_value_of_the_wrong_type_is_described_in_words(
    field: str, value: object, expected: str
) -> None:
    assert expected in str(refused(LibraryFile, orjson.dumps(FILE | {field: value})))


@pytest.mark.parametrize("value", [b"null", b"[]", b"3", b"true", b'"x"'])
def test_a_resource_must_be_an_object(value: bytes) -> None:
    assert "is not an object" in str(refused(LibraryFile, value))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"<html>no</html>", b"NaN", b"\xff\xfe", b'"\\ud800"', b"1e400", b"9" * 5000],
)
def test_invalid_json_is_refused_with_an_excerpt(content: bytes) -> None:
    problem = refused(LibraryFile, content)
    assert "is not JSON" in str(problem)
    assert len(problem.excerpt) <= 80


def test_an_excerpt_never_contains_a_secret_even_at_its_cut() -> None:
    secret = "s3cret-k3y"

    def redact(text: str, limit: int) -> str:
        return text.replace(secret, "***")[:limit]

    for content in (
        b"<p>" + b"x" * 70 + secret.encode() + b"</p>",
        b"<p>" + b" " * 4085 + secret.encode(),
        json.dumps(FILE | {"size": "x" * 70 + secret}).encode(),
        json.dumps(FILE | {"size": " " * 4090 + secret}).encode(),
    ):
        problem = refused(LibraryFile, content, redact=redact)
        assert "s3cret" not in str(problem)
        assert "s3cret" not in problem.excerpt


@pytest.mark.parametrize("depth", [100, 900, 5000])
@pytest.mark.parametrize("opened", ["[", '{"a":'])
def test_deep_nesting_is_refused_anywhere(depth: int, opened: str) -> None:
    closed = "]" if opened == "[" else "}"
    deep = opened * depth + "1" + closed * depth
    for model, content in (
        (LibraryFile, f'{{"id":"4","name":"x","unknown":{deep}}}'),
        (LibraryFile, f'{{"id":"4","name":"x","created_date":{deep}}}'),
        (LibraryFile, deep),
        (Page[LibraryFile], f'{{"results":{deep}}}'),
        (list[LibraryFile], deep),
    ):
        refused(model, content.encode())


@pytest.mark.parametrize("depth", [70, 400])
def test_folders_nested_too_deeply_are_refused(depth: int) -> None:
    deep = '{"id":"1","name":"x","children":[' * depth + "]}" * depth
    error = refused(LibraryFolder, deep.encode())
    assert "is not JSON with at most 64 levels of nesting" in str(error)


def test_moderate_nesting_is_kept() -> None:
    deep = "[" * 60 + "]" * 60
    file = decode(LibraryFile, b'{"id":"4","name":"x","unknown":%s}' % deep.encode())
    assert encode(file.extra["unknown"]).decode() == deep


def test_an_id_that_lost_digits_is_refused() -> None:
    content = b'{"id":123456789012345678901234567890,"name":"x"}'
    assert refused(LibraryFile, content).where == "id"


def test_a_number_too_long_for_python_to_print_is_refused() -> None:
    with pytest.raises(errors.DecodeError):
        structure(LibraryFile, FILE | {"id": 10**5000})


def test_thousands_of_long_numbers_are_read_quickly() -> None:
    # No thread runs while a number is converted. These are 24 KB, compressed.
    content = b'[{"id":[' + b",".join([b"1" * 4000] * 3900) + b"]}]"
    began = time.process_time()
    page = decode_rows(LibraryFile, content, paged=False)
    assert time.process_time() - began < 0.3
    assert isinstance(page.results[0], BadRow)


def test_null_is_an_empty_list_and_a_null_row_is_left_out() -> None:
    assert decode(list[FileUploadStatus], b"null") == []
    rows = decode(list[FileUploadStatus], b'[null,{"file_id":"9","status":"Active"}]')
    assert [row.file_id for row in rows] == ["9"]
    assert decode(LibraryFolder, b'{"id":"1","name":"x","children":null}').children == ()


@pytest.mark.parametrize("content", [b"{}", b"3", b'"x"'])
def test_a_value_that_is_not_a_list_is_refused(content: bytes) -> None:
    assert "is not an array" in str(refused(list[FileUploadStatus], content))


@pytest.mark.parametrize("extra", ["abc", [(1, 2, 3)], 5])
def test_extra_that_is_not_a_mapping_is_an_invalid_field(extra: Any) -> None:
    file = LibraryFile(id="1", name="a.png", extra=extra)
    for write in (file.to_dict, file.to_json):
        with pytest.raises(errors.InvalidField, match="its values must fit its fields"):
            write()


def test_unknown_fields_are_kept_in_extra_and_sent_back() -> None:
    file = decode(LibraryFile, b'{"id":"4","name":"x","colour":{"deep":[1,2]}}')
    assert file.extra == {"colour": {"deep": [1, 2]}}
    assert "colour" not in repr(file)
    changed = attrs.evolve(file, name="y")
    assert json.loads(encode(changed)) == {"id": "4", "name": "y", "colour": {"deep": [1, 2]}}


def test_decoding_a_response_twice_gives_equal_models_with_equal_hashes() -> None:
    content = b'{"id":"4","name":"x","colour":[1],"created_date":"2013-06-19T11:36:43.000Z"}'
    first, second = decode(LibraryFile, content), decode(LibraryFile, content)
    assert first == second
    assert hash(first) == hash(second)
    assert first != decode(LibraryFile, b'{"id":"4","name":"x"}')


def test_decoded_models_are_immutable() -> None:
    file = decode(LibraryFile, b'{"id":"4","name":"x"}')
    assert type(file) is LibraryFile
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        file.name = "y"  # type: ignore[misc]  # the point of the test
    assert file == LibraryFile("4", "x")


def test_none_is_left_out_when_encoding() -> None:
    assert unstructure(LibraryFile("4", "x")) == {"id": "4", "name": "x"}


def test_dates_are_written_in_utc_with_milliseconds_and_z() -> None:
    moment = datetime(2013, 6, 19, 11, 36, 43, 108_999, timezone(timedelta(hours=-4)))
    file = LibraryFile("4", "x", created_date=moment)
    assert unstructure(file)["created_date"] == "2013-06-19T15:36:43.108Z"
    assert encode({"since": moment}) == b'{"since":"2013-06-19T15:36:43.108Z"}'


def test_a_date_without_a_zone_is_not_sent() -> None:
    with pytest.raises(errors.InvalidField) as caught:
        encode(LibraryFile("4", "x", created_date=datetime(2013, 6, 19)))  # noqa: DTZ001  # the point
    assert caught.value.field == "created_date"
    with pytest.raises(errors.InvalidField):
        encode(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))))


@pytest.mark.parametrize("value", [2**70, "\ud800", {1: 2}.keys])
def test_a_value_that_json_cannot_hold_is_not_sent(value: object) -> None:
    with pytest.raises(errors.InvalidField):
        encode({"x": value})


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2013-06-24T13:12:10.000-04:00", datetime(2013, 6, 24, 17, 12, 10, tzinfo=UTC)),
        ("2013-01-23T13:48:44.108Z", datetime(2013, 1, 23, 13, 48, 44, 108_000, UTC)),
        ("2018-06-04T13:07:30.00Z", datetime(2018, 6, 4, 13, 7, 30, tzinfo=UTC)),
        ("2018-06-04T13:07:30", datetime(2018, 6, 4, 13, 7, 30, tzinfo=UTC)),
        ("1965-06-04T13:07:30Z", datetime(1965, 6, 4, 13, 7, 30, tzinfo=UTC)),
    ],
)
def test_dates_in_every_known_form_are_decoded_with_a_time_zone(
    text: str, moment: datetime
) -> None:
    file = structure(LibraryFile, FILE | {"created_date": text})
    assert file.created_date == moment
    assert file.extra == {}


@pytest.mark.parametrize(
    "text",
    ["1970-01-01T00:00:00.000Z", "1969-12-31T19:00:00.000-05:00", "1970-01-01", ""],
)
def test_the_epoch_means_not_set_and_its_text_is_sent_back(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = structure(LibraryFile, FILE | {"created_date": text})
    assert file.created_date is None
    assert unstructure(file) == FILE | {"created_date": text}
    assert not caplog.records


@pytest.mark.parametrize("value", ["yesterday", 1371656203, {"a": 1}, "9999-12-31T23:59:59-23:00"])
def test_an_unreadable_date_is_none_with_one_warning_and_is_sent_back(
    value: object, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "_warned", set())
    for _ in range(3):
        file = structure(LibraryFile, FILE | {"modified_date": value})
        assert file.modified_date is None
        assert unstructure(file) == FILE | {"modified_date": value}
    assert [r.name for r in caplog.records] == ["ccv2_async.models"]
    assert caplog.records[0].levelno == logging.WARNING
    assert "LibraryFile.modified_date" in caplog.text
    assert str(value) not in caplog.text


def test_a_newly_set_date_replaces_the_raw_text() -> None:
    file = structure(LibraryFile, FILE | {"created_date": "1970-01-01T00:00:00.000Z"})
    changed = attrs.evolve(file, created_date=datetime(2020, 1, 1, tzinfo=UTC))
    assert unstructure(changed)["created_date"] == "2020-01-01T00:00:00.000Z"


@pytest.mark.parametrize("word", ["Active", "ACTIVE", "active", "aCtIvE"])
def test_a_known_enum_value_is_recognized_in_any_case(word: str) -> None:
    assert structure(LibraryFile, FILE | {"status": word}).status is FileStatus.ACTIVE


@pytest.mark.parametrize("word", ["Quarantined", "", "active "])
def test_an_unknown_enum_value_stays_plain_text(word: str) -> None:
    status = structure(LibraryFile, FILE | {"status": word}).status
    assert type(status) is str
    assert unstructure(structure(LibraryFile, FILE | {"status": word}))["status"] == word


@pytest.mark.parametrize(("value", "size"), [("12", 12), (12.0, 12), (" -3 ", -3), (2**63, 2**63)])
def test_a_number_is_decoded_from_every_form(value: object, size: int) -> None:
    assert structure(LibraryFile, FILE | {"size": value}).size == size


@pytest.mark.parametrize(
    ("value", "price"), [(20, 20.0), (20.5, 20.5), ("20.50", 20.5), (" 7 ", 7.0), (None, None)]
)
def test_an_amount_is_decoded_from_every_form(value: object, price: float | None) -> None:
    assert structure(Item, {"id": "i", "price": value}).price == price


@pytest.mark.parametrize("value", ["free", "1e5", True, [], 10**400, ""])
def test_an_amount_that_is_not_a_number_is_refused(value: object) -> None:
    with pytest.raises(errors.DecodeError):
        structure(Item, {"id": "i", "price": value})


def test_a_field_with_a_default_may_be_missing() -> None:
    request = structure(ExportContactsRequest, {"lists": ["4"]})
    assert request == ExportContactsRequest(("4",))
    with pytest.raises(errors.DecodeError):
        structure(EventStatusPatch, {"op": "REPLACE"})


def test_an_unreadable_required_date_counts_as_missing() -> None:
    with pytest.raises(errors.DecodeError) as caught:
        structure(EventWrite, dict.fromkeys(("name", "title", "type", "start_date"), "x"))
    assert caught.value.where == "start_date"


def test_a_contact_has_a_shortcut_to_its_address() -> None:
    contact = structure(Contact, {"id": 1, "email_addresses": [{"email_address": "a@b.com"}]})
    assert contact.email == "a@b.com"
    assert structure(Contact, {"id": 1}).email is None


def test_single_values_and_enums_are_decoded_and_encoded_like_fields() -> None:
    assert structure(list[str], [1, "a"]) == ["1", "a"]
    assert structure(list[FileStatus], ["ACTIVE", "New"]) == [FileStatus.ACTIVE, "New"]
    assert type(unstructure(FileStatus.ACTIVE)) is str


def test_only_models_that_arrive_wrapped_are_unwrapped() -> None:
    assert decode(LibraryInfo, b'[{"image_root":"x"}]') == LibraryInfo("x")
    refused(LibraryFile, b'[{"id":"4","name":"x"}]')


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
anything = json_values | st.fixed_dictionaries(
    {}, optional=dict.fromkeys(attrs.fields_dict(LibraryFile), json_values)
)


@given(anything, st.sampled_from([LibraryFile, LibraryFolder, LibraryInfo, FileUploadStatus]))
def test_any_json_gives_a_model_or_a_decode_error(value: object, model: type[Any]) -> None:
    content = orjson.dumps(value)
    try:
        read = decode(model, content)
    except errors.DecodeError as problem:
        assert len(problem.excerpt) <= 80  # noqa: PT017  # either end is right
    else:
        assert structure(model, unstructure(read)) == read


@given(st.binary())
def test_any_bytes_give_a_model_or_a_decode_error(content: bytes) -> None:
    refused(LibraryFile, content)


words = st.text(st.characters(codec="utf-8"))
moments = st.integers(31_536_000_000 * 2, 250_000_000_000_000).map(
    lambda milliseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
)


@given(
    st.builds(
        LibraryFile,
        id=words,
        name=words,
        description=st.none() | words,
        status=st.sampled_from(FileStatus) | st.just("New"),
        size=st.none() | st.integers(0, 2**53),
        is_image=st.none() | st.booleans(),
        created_date=st.none() | moments,
        extra=st.dictionaries(words.filter(lambda key: key.startswith("x")), json_values),
    )
)
def test_encoding_and_decoding_gives_the_same_model(file: LibraryFile) -> None:
    again = decode(LibraryFile, encode(file))
    assert encode(again) == encode(file)
    assert attrs.evolve(again, extra={}) == attrs.evolve(file, extra={})


@pytest.mark.parametrize("word", ["mycomputer", "MYCOMPUTER", "MyComputer"])
def test_an_enum_value_in_any_case_is_encoded_in_the_spelling_of_the_service(word: str) -> None:
    assert unstructure(LibraryFile("7", name="menu.pdf", source=word))["source"] == "MyComputer"


def test_an_unknown_enum_value_is_encoded_unchanged() -> None:
    assert unstructure(LibraryFile("7", name="menu.pdf", source="Fax"))["source"] == "Fax"


def test_an_array_counts_as_four_values() -> None:
    # Parsing 600,000 of them, 1.5 KB compressed, blocked all threads for 0.1 s and more.
    assert "more than a million values" in str(
        refused(list[Any], b"[" + b"[[]]," * 120_000 + b"0]")
    )


@pytest.mark.parametrize("row", [b"[],", b"{},", b'{"":0},', b"1,", b'"",'])
def test_a_document_with_too_many_values_is_refused_before_decoding(row: bytes) -> None:
    content = b"[" + row * 1_000_001 + b"0]"
    problem = refused(list[LibraryFile], content)
    assert "more than a million values" in str(problem)
