from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import errors
from ccv2_async.transport.calls.responses import (
    MAX_ERRORS,
    MAX_TEXT,
    OVER_DAY_KEY,
    OVER_RATE_KEY,
    failure_kind,
    parse_errors,
    refusal,
    time_of,
    wait_of,
)
from ccv2_async.transport.calls.retry import FailureKind

GATEWAY = "x-mashery-error-code"


def parsed(content: bytes, **headers: str) -> tuple[tuple[str, str], ...]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return parse_errors(content, named, lambda text, limit: text.replace("secret", "***")[:limit])


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'[{"error_key": "http.status.not_found"}]', errors.NotFound),
        (b'[{"error_key": "http.status.not_found"}, {"error_message": "m"}]', errors.NotFound),
        (b"[]", errors.NotFound),
        (b"", errors.NotFound),
        (b'{"error": "Not Found"}', errors.ServerError),
        (b'{"error": "Not found. Ask the administrator."}', errors.ServerError),
        (b'{"detail": "Not Found"}', errors.ServerError),
        (b'{"error": {"code": 404, "message": "Not Found"}}', errors.ServerError),
        (b"<html>404 Not Found.</html>", errors.ServerError),
    ],
)
def test_only_the_service_says_that_a_job_is_unknown(
    content: bytes, kind: type[errors.APIError]
) -> None:
    assert type(refusal(404, parsed(content), "x", of_job=True)) is kind
    assert type(refusal(404, parsed(content), "x")) is errors.NotFound


@pytest.mark.parametrize(
    ("content", "own"),
    [
        (b'[{"error_key": "http.status.not_found", "error_message": "m"}]', True),
        (b'[{"error_key": "json.email.invalid"}]', True),
        (b'[{"error_message": "a page. With a dot."}]', False),
        (b'{"status": 404, "error": "Not Found", "path": "/v2/lists"}', False),
        (b'{"error": "Access denied. Ask the administrator."}', False),
        (b'{"error": "Forbidden."}', False),
        (b'{"error_code": 404.0}', False),
        (b'{"message": "no Route matched"}', False),
        (b"<html>404 Not Found.</html>", False),
        (b"404 page not found.", False),
        (b"[]", False),
        (b"", False),
    ],
)
def test_only_the_service_names_keys_with_dots(content: bytes, own: bool) -> None:
    error = refusal(404, parsed(content), "x")

    assert isinstance(error, errors.NotFound)
    assert error.is_from_service is own


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'[{"error_key": "k", "error_message": "m"}]', (("k", "m"),)),
        (
            b'[{"error_key": "a", "error_message": "1"}, {"error_key": "b"}]',
            (("a", "1"), ("b", "")),
        ),
        (b'{"error_key": "k", "error_message": "m"}', (("k", "m"),)),
        (
            b'{"error": "invalid_grant", "error_description": "Expired"}',
            (("invalid_grant", "Expired"),),
        ),
        (b'{"error_code": "E1", "error_message": "m"}', (("E1", "m"),)),
        (b'[{"error_message": "only"}]', (("", "only"),)),
        (b'{"message": "no Route matched"}', (("", "no Route matched"),)),
        (b'{"detail": "No  secret"}', (("", '{"detail": "No ***"}'),)),
        (b'["just text"]', (("", "just text"),)),
        (b'"just text"', (("", "just text"),)),
        (b"plain\n  prose\r\n", (("", "plain prose"),)),
        (b"<html><body>no</body></html>", (("", "an HTML page"),)),
        (b"  <?xml?>", (("", "an HTML page"),)),
        (b"", ()),
        (b"   ", ()),
        (b"null", ()),
        (b"42", ()),
        (b"[]", ()),
        (b"{}", ()),
        (b"[[], 3, null, {}]", ()),
        (b'[{"error_key": 5, "error_message": ["x", [], "y"]}]', (("5", "x; y"),)),
        (b'[{"error_key": null, "error_message": null}]', ()),
        (b'[{"error_key": 0, "error_message": ["", 0, "y"]}]', (("", "y"),)),
        (b"\xff\xfe\x00", (("", "\ufffd\ufffd\\x00"),)),
        (b'[{"error_key": "a secret", "error_message": "secret"}]', (("a ***", "***"),)),
    ],
)
def test_errors_are_parsed_in_every_shape(
    content: bytes, expected: tuple[tuple[str, str], ...]
) -> None:
    assert parsed(content) == expected


@given(st.binary() | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["error_key", "error_message", "error", "x"]), inner),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_error_body_is_accepted_and_kept_short(content: bytes) -> None:
    found = parsed(content)
    assert len(found) <= MAX_ERRORS
    assert all(len(key) <= MAX_TEXT and len(text) <= MAX_TEXT for key, text in found)


def test_many_or_long_errors_are_truncated() -> None:
    rows = [{"error_key": "k" * 1000, "error_message": "m" * 100_000}] * 1000
    found = parsed(json.dumps(rows).encode())
    assert len(found) == MAX_ERRORS
    assert found[0] == ("k" * MAX_TEXT, "m" * MAX_TEXT)
    assert parsed(b"[" * 200_000)


def test_prose_is_redacted_only_as_far_as_it_is_shown() -> None:
    limits = []

    def redact(text: str, limit: int) -> str:
        limits.append(limit)
        return text[:limit]

    parse_errors(b"busy " * 1000, {}, redact)
    assert set(limits) == {MAX_TEXT}


@pytest.mark.parametrize(("sent", "told"), [(1, False), (2, True), (3, True)])
def test_a_server_error_says_how_often_a_call_was_sent(sent: int, told: bool) -> None:
    message = refusal(500, (), "info", sent=sent).message
    assert (f"It was sent {sent} times." in message) is told


def test_a_server_error_is_never_a_retired_endpoint() -> None:
    for status in (500, 501):
        assert type(refusal(status, (("http.status.gone", ""),), "info")) is errors.ServerError


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("ERR_403_DEVELOPER_OVER_QPS", OVER_RATE_KEY),
        ("ERR_403_DEVELOPER_OVER_RATE", OVER_DAY_KEY),
    ],
)
def test_the_gateway_header_is_used_if_the_body_has_no_key(code: str, key: str) -> None:
    assert parsed(b"<h1>", x_mashery_error_code=code)[0] == (key, "")
    same = json.dumps([{"error_key": key, "error_message": "m"}]).encode()
    assert parsed(same, x_mashery_error_code=code) == ((key, "m"),)
    assert parsed(b"", x_mashery_error_code="ERR_OTHER") == ()


RATE, DAY, OTHER = ((OVER_RATE_KEY, ""),), ((OVER_DAY_KEY, ""),), (("json.invalid", ""),)


@pytest.mark.parametrize(
    ("status", "found", "hinted", "expected"),
    [
        (300, (), False, FailureKind.REDIRECTED),
        (301, (), False, FailureKind.REDIRECTED),
        (399, RATE, True, FailureKind.REDIRECTED),
        (400, RATE, False, FailureKind.REFUSED),
        (401, (), False, FailureKind.UNAUTHORIZED),
        (403, (), False, FailureKind.REFUSED),
        (403, OTHER, True, FailureKind.REFUSED),
        (403, RATE, False, FailureKind.OVER_RATE),
        (403, OTHER + RATE, False, FailureKind.OVER_RATE),
        (403, DAY, False, FailureKind.OVER_DAY),
        (403, RATE + DAY, False, FailureKind.OVER_DAY),
        (404, (), False, FailureKind.REFUSED),
        (408, (), False, FailureKind.SERVER_FAILED),
        (413, (), True, FailureKind.REFUSED),
        (429, (), False, FailureKind.OVER_RATE),
        (429, DAY, False, FailureKind.OVER_DAY),
        (429, (("quota_exceeded", "m"),), True, FailureKind.OVER_DAY),
        (429, (*OTHER, ("quota_exceeded", "")), False, FailureKind.OVER_DAY),
        (429, (("throttled", "m"),), False, FailureKind.OVER_RATE),
        (429, OTHER, True, FailureKind.OVER_RATE),
        (400, (("http.status.gone", ""),), True, FailureKind.REFUSED),
        (500, RATE, True, FailureKind.SERVER_FAILED),
        (502, (), False, FailureKind.SERVER_FAILED),
        (503, (), False, FailureKind.SERVER_FAILED),
        (503, (), True, FailureKind.SERVER_BUSY),
        (504, (), True, FailureKind.SERVER_FAILED),
        (599, (), False, FailureKind.SERVER_FAILED),
    ],
)
def test_a_response_is_classified_by_status_and_error_keys(
    status: int, found: tuple[tuple[str, str], ...], hinted: bool, expected: FailureKind
) -> None:
    assert failure_kind(status, found, hinted=hinted) is expected


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (400, errors.BadRequest, "Correct the request"),
        (401, errors.AuthenticationFailed, "get a new one"),
        (402, errors.BadRequest, "Correct the request"),
        (403, errors.Forbidden, "lacks the privilege"),
        (404, errors.NotFound, "No resource has that ID"),
        (405, errors.BadRequest, "does not offer this method"),
        (406, errors.BadRequest, "not answer in JSON"),
        (408, errors.ServerError, "The service failed. Try again later."),
        (409, errors.Conflict, "conflicts with the current state"),
        (413, errors.BadRequest, "larger than the service accepts"),
        (415, errors.BadRequest, "type of content"),
        (429, errors.QuotaExceeded, "wait and try again"),
        (500, errors.ServerError, "The service failed. Try again later."),
        (599, errors.ServerError, "Try again later."),
    ],
)
def test_each_refusal_has_its_error_class_and_advice(
    status: int, kind: type[errors.APIError], advice: str
) -> None:
    error = refusal(status, (("k", "m"), ("", "n"), ("o", "")), "the thing")
    assert type(error) is kind
    assert error.message.startswith(f"the thing: the service returned {status} (k: m; n; o). ")
    assert advice in error.message
    assert (error.status, error.error_key) == (status, "k")
    assert error.errors == (("k", "m"), ("", "n"), ("o", ""))


def test_a_conflict_quotes_the_service_and_gives_no_other_reason() -> None:
    said = (("http.status.conflict", "An event needs at least one fee."),)
    message = refusal(409, said, "deletion of fee 7").message
    assert "(http.status.conflict: An event needs at least one fee). " in message
    assert "exists" not in message
    assert "name" not in message


def test_a_retired_endpoint_has_its_own_error() -> None:
    error = refusal(400, (("http.status.gone", "m"),), "events")
    assert type(error) is errors.EndpointRetired
    assert not error.safe_to_retry
    assert error.message == (
        "events: the service returned 400 (http.status.gone: m). The service has withdrawn this "
        "endpoint. The request itself is correct, but sending it again does not help."
    )


def test_the_text_of_a_refusal_gets_no_second_period() -> None:
    assert (
        "returned 400 (k: No such list). " in refusal(400, (("k", "No such list."),), "x").message
    )


def test_a_refusal_says_if_it_has_no_reason_and_how_often_it_was_sent() -> None:
    assert "returned 400 without giving a reason." in refusal(400, (), "the thing").message
    assert refusal(400, (), "the thing").error_key == ""
    error = refusal(502, (), "the thing", sent=3)
    assert "It was sent 3 times. Try again later." in error.message
    assert error.reason == "the service returned 502 without giving a reason"


@pytest.mark.parametrize(
    ("headers", "time"),
    [
        ({"date": "Tue, 14 Nov 2023 22:13:20 GMT"}, 1_700_000_000.0),
        ({"date": "Tue, 14 Nov 2023 23:13:20 +0100"}, 1_700_000_000.0),
        ({"date": "Tue, 14 Nov 2023 22:13:20 -0000"}, None),
        ({"date": "Tue Nov 14 22:13:20 2023"}, None),
        ({"date": "soon"}, None),
        ({"date": ""}, None),
        ({}, None),
    ],
)
def test_a_date_without_a_zone_is_no_time(headers: dict[str, str], time: float | None) -> None:
    assert time_of(headers) == time


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"date": "Thu, 01 Jan 1970 00:00:50 GMT"}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:10 GMT"}, 60.0),
        (
            {
                "retry-after": "Thu, 01 Jan 1970 00:01:10 GMT",
                "date": "Thu, 01 Jan 1970 00:00:50 GMT",
            },
            20.0,
        ),
        (
            {
                "retry-after": "Thu, 01 Jan 1970 00:01:10 GMT",
                "date": "Thu, 01 Jan 1970 00:00:05 GMT",
            },
            60.0,
        ),
    ],
)
def test_a_date_to_wait_for_is_compared_with_the_later_of_both_clocks(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert wait_of(headers, now=10.0) == seconds


def test_a_rate_limit_is_a_quota_error_for_any_status_code() -> None:
    assert type(refusal(403, RATE, "it")) is errors.QuotaExceeded
    assert "wait and try again" in refusal(403, RATE, "it").message
    assert type(refusal(500, RATE, "it")) is errors.ServerError
