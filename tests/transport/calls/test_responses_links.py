from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccv2_async.transport.calls import responses
from ccv2_async.transport.calls.responses import cursor, is_id, job_id, segment, without_id

HOST = "https://api.constantcontact.com"


@pytest.mark.parametrize(
    "location",
    [
        f"{HOST}/v2/library/files/1001",
        f"{HOST}/v2/library/files/1001/",
        f"{HOST}/v2/library/files/uploadstatus/1001",
        f"{HOST}/v2/library/files/uploadstatus/1001///",
        f"{HOST}/v2/library/files/1001?api_key=x&next=/library/files/7",
        f"{HOST}/v2/library/files/1001#/library/files/7",
        "https://elsewhere.example:8443/other/base/library/files/1001",
        "https://user:word@elsewhere.example/v2/library/files/1001",
        "/v2/library/files/1001",
        "library/files/1001",
        "  /v2/library/files/1001\t",
        "/v2/library/files/%31001",
        "//elsewhere.example/v2/library/files/1001",
    ],
)
@pytest.mark.parametrize("id_header", [None, "9999", ""])
def test_the_upload_id_comes_from_location_before_the_id_header(
    location: str, id_header: str | None
) -> None:
    assert job_id("upload", location, id_header) == "1001"


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "/",
        "ht!tp://[::::/../../etc/passwd",
        "http://[/v2/library/files/1001",
        f"{HOST}/v2/library/files/",
        f"{HOST}/v2/library/files",
        f"{HOST}/v2/library/files/uploadstatus",
        f"{HOST}/v2/library/files/uploadstatus/",
        f"{HOST}/v2/library/files/uploadstatus?x=/library/files/1001",
        f"{HOST}/v2/library/folders/1001",
        f"{HOST}/v2/library/files/1001/content",
        f"{HOST}/v2/mylibrary/files/1001",
        f"{HOST}/v2/library/files/1,2",
        f"{HOST}/v2/library/files/%2e%2e",
        f"{HOST}/v2/library/files/a%2Fb",
        f"{HOST}/v2/library/files/a%00b",
        f"{HOST}/v2/library/files/{'9' * 129}",
        f"{HOST}/v2/library/files/1001?{'x' * 5000}",
        f"{HOST}/v2/activities/1001",
        "1001",
    ],
)
def test_without_an_upload_in_location_the_id_header_is_used(location: str | None) -> None:
    assert job_id("upload", location, " 42 ") == "42"
    assert job_id("upload", location) is None
    assert job_id("upload", location, "../42") is None


@pytest.mark.parametrize("id_", ["a07e1il97e1hddalkpk", "00b1e350-b1e6-11e4-a570-d4ae52a45a09"])
def test_the_activity_id_comes_from_location(id_: str) -> None:
    assert job_id("activity", f"{HOST}/v2/activities/{id_}?x=1") == id_
    assert job_id("activity", f"{HOST}/v2/library/files/{id_}") is None
    assert job_id("activity", None, id_) == id_


@pytest.mark.parametrize("name", ["addcontacts", "removefromlists", "clearlists", "exportcontacts"])
@pytest.mark.parametrize("end", ["", "/", "?x=1"])
def test_the_name_of_a_bulk_activity_is_not_its_id(name: str, end: str) -> None:
    assert job_id("activity", f"{HOST}/v2/activities/{name}{end}") is None
    assert job_id("activity", f"{HOST}/v2/activities/{name}1{end}") == f"{name}1"


@pytest.mark.parametrize(
    "location",
    [
        "/v2/library/files/1, /v2/library/files/2",
        "/v2/library/files/1,/v2/library/files/2",
        "/v2/library/files/1?x=1, /v2/library/files/2",
        "/v2/library/files/1, /v2/library/folders/1",
        ", /v2/library/files/1",
    ],
)
def test_several_locations_that_differ_name_no_upload(location: str) -> None:
    assert job_id("upload", location) is None


def test_several_locations_that_differ_are_not_settled_by_the_id_header() -> None:
    assert job_id("upload", "/v2/library/files/1, /v2/library/files/2", "2") is None
    assert job_id("upload", None, "1, 2") is None


def test_several_headers_with_the_same_id_count_as_one() -> None:
    assert job_id("upload", f"/v2/library/files/7, {HOST}/v2/library/files/7?x=1,2") == "7"
    assert job_id("activity", "/v2/activities/a7, /v2/activities/a7") == "a7"
    assert job_id("upload", None, "7, 7") == "7"


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, "returned no ID"),
        ({"location": "/v2/library/folders/1, /v2/library/folders/1"}, "returned no ID"),
        ({"location": "/v2/library/folders/1", "id": "1, 2"}, "returned no ID"),
        ({"location": "/files/1, /files/2"}, "named different IDs"),
        ({"location": "", "id": "1, 2"}, "named different IDs"),
    ],
)
def test_a_message_distinguishes_no_id_from_several(headers: dict[str, str], told: str) -> None:
    assert without_id(headers) == told


@given(st.none() | st.text(), st.none() | st.text())
@example("/library/files/..", "..")
@example("/library/files/\n", "\n")
def test_any_location_gives_only_a_valid_id(location: str | None, id_header: str | None) -> None:
    for found in (
        job_id("upload", location, id_header),
        job_id("activity", location, id_header),
    ):
        assert found is None or is_id(found)


@given(st.text())
def test_ids_cannot_escape_their_path_segment(text: str) -> None:
    if is_id(text):
        assert text
        assert not set(text) & set("/\\?#%, \t\r\n\0")
        assert text.strip(".")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_path_segment_has_no_slash_and_round_trips(text: str) -> None:
    from urllib.parse import unquote

    encoded = segment(text)
    assert unquote(encoded) == text
    assert not set(encoded) & set("/?# ")


def test_joined_ids_keep_their_commas() -> None:
    assert segment("1,2") == "1,2"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (None, None),
        ("", None),
        ("/v2/contacts?next=b2Zmc2V0PTQmbGltaXQ9NA", "b2Zmc2V0PTQmbGltaXQ9NA"),
        ("https://elsewhere.example/x?limit=3&next=abc&api_key=k", "abc"),
        ("?next=a%2Bb%3D", "a+b="),
        ("/v2/emailcampaigns/x?next=%22", '"'),
    ],
)
def test_only_the_cursor_of_a_next_link_is_used(link: str | None, expected: str | None) -> None:
    assert cursor(link) == expected


@pytest.mark.parametrize("link", ["/v2/contacts", "/v2/contacts?next=", "?x=1"])
def test_a_next_link_without_a_cursor_is_refused(link: str) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        cursor(link)


@pytest.mark.parametrize("filler", ["a=b&", "&", "%41", "next="])
def test_a_very_long_next_link_is_refused_unread(
    filler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Fifteen MB of them blocked the event loop for seconds, and took a gigabyte.
    monkeypatch.setattr(responses, "parse_qsl", None)
    with pytest.raises(ValueError, match="no cursor"):
        cursor(f"/v2/contacts?next=b&x={filler * 5000}")


def test_a_link_is_read_up_to_4096_characters() -> None:
    for length, id_ in ((4096, "7"), (4097, None)):
        assert job_id("upload", "/library/files/7".rjust(length, "x"), None) == id_
    assert cursor("?next=a".rjust(4096, "x")) == "a"
    with pytest.raises(ValueError, match="cursor"):
        cursor("?next=a".rjust(4097, "x"))


def test_a_link_that_is_not_a_url_names_nothing() -> None:
    assert job_id("upload", "http://[::1/library/files/7", None) is None
    with pytest.raises(ValueError, match="IPv6"):
        cursor("http://[::1?next=a")


def test_only_commas_and_tildes_stay_in_a_segment() -> None:
    assert segment("1,2~X/é") == "1,2~X%2F%C3%A9"
