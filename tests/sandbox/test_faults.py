from __future__ import annotations

import random
import re
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.sandbox import faults
from ccv2_async.sandbox.faults import _LOCATIONS as LOCATIONS
from ccv2_async.sandbox.faults import DEFAULTS, EFFECTS, KINDS, PRESETS, Faults, make_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox import Sandbox

    Upload = Callable[..., httpx.Response]


def seeded(seed: int) -> Faults:
    return Faults(random.Random(seed))  # noqa: S311 - a repeatable draw, no secret


def test_every_fault_is_described_and_can_be_triggered() -> None:
    text = faults.__doc__ or ""
    table, presets, variants = (
        re.findall(pattern, part, re.MULTILINE)
        for pattern, part in (
            (r"^``(\w+)`` +\S", text),
            (r"``(\w+)``", text.partition("Ready-made responses")[2].partition("\n\n")[0]),
            (r"``(\w+)``", text.partition("Variants of")[2].partition(":")[2].partition("\n\n")[0]),
        )
    )
    assert sorted(table) == sorted(KINDS)
    assert sorted(presets) == sorted(PRESETS)
    assert sorted(variants) == sorted(LOCATIONS)
    assert EFFECTS.keys() == KINDS
    assert not KINDS & PRESETS.keys()
    assert DEFAULTS.keys() <= KINDS


def test_a_fault_hits_matching_requests_the_given_number_of_times() -> None:
    faults = seeded(0)
    faults.add("x", make_fault("unavailable", method="POST", path="/library/*", times=2, skip=1))
    asked = [("GET", "/library/files"), ("POST", "/lists")] + [("POST", "/library/files")] * 4
    struck = [faults.take(method, path) is not None for method, path in asked]
    assert struck == [False, False, False, True, True, False]
    assert faults.pending() == []


def test_a_fault_without_a_limit_lasts_until_it_is_cleared() -> None:
    faults = seeded(0)
    faults.add("x", make_fault("hang", times=None))
    assert all(faults.take("GET", "/") for _ in range(100))
    assert faults.pending() == [
        {"id": "1", "kind": "x", "method": None, "path": "*", "left": None, "skip": 0}
    ]
    faults.clear()
    assert faults.take("GET", "/") is None


def test_fault_probability_uses_the_seed() -> None:
    def drawn() -> list[bool]:
        faults = seeded(7)
        faults.add("x", make_fault("reset", chance=0.3, times=None))
        return [faults.take("GET", "/") is not None for _ in range(200)]

    assert drawn() == drawn()
    assert 30 < sum(drawn()) < 90


@pytest.mark.parametrize("fields", [{"kind": "flood"}, {"kind": "reset", "colour": "red"}])
def test_an_unknown_fault_is_refused(admin_http: httpx.Client, fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="fault"):
        make_fault(**fields)
    assert admin_http.post("/faults", json=fields).status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "reset", "times": "1"},
        {"kind": "reset", "times": 0},
        {"kind": "reset", "skip": "1"},
        {"kind": "reset", "skip": -1},
        {"kind": "reset", "chance": "0.5"},
        {"kind": "reset", "chance": 7},
        {"kind": "reset", "path": 5},
        {"kind": "reset", "method": 5},
        {"kind": "reset", "after_bytes": []},
        {"kind": "answer", "status": "503"},
        {"kind": "answer", "status": 100},
        {"kind": "answer", "status": 1000},
        {"kind": "answer", "headers": []},
        {"kind": "answer", "headers": {"x": 1}},
        {"kind": "answer", "headers": {"x": "a\r\nb: c"}},
        {"kind": "answer", "headers": {"x": "\u20ac"}},
        {"kind": "answer", "headers": {"": "x"}},
        {"kind": "answer", "headers": {"a b": "x"}},
        {"kind": "answer", "body": 5},
        {"kind": "delay", "seconds": "1"},
        {"kind": "delay", "seconds": 1e300},
        {"kind": "trickle", "size": 0},
        {"kind": "location"},
        {"kind": "location", "variant": "sideways"},
        {"kind": []},
    ],
    ids=str,
)
def test_a_fault_that_could_not_strike_is_refused(
    api: httpx.Client, admin_http: httpx.Client, wrong: dict[str, Any]
) -> None:
    assert admin_http.post("/faults", json=wrong).status_code == 400
    assert admin_http.get("/faults").json() == []
    assert api.get("/library/info").status_code == 200


def test_faults_can_be_armed_and_disarmed_from_another_process(
    api: httpx.Client, admin_http: httpx.Client
) -> None:
    fault = {"kind": "unavailable", "headers": {"retry-after": "3"}, "times": None}
    assert admin_http.post("/faults", json=fault).status_code == 200
    answer = api.get("/library/info")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert admin_http.get("/faults").json()[0]["kind"] == "unavailable"
    assert admin_http.delete("/faults").status_code == 200
    assert api.get("/library/info").status_code == 200


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("over_qps", 403, "over.qps"),
        ("over_ratelimit", 403, "over.ratelimit"),
        ("inactive", 403, "inactive"),
        ("too_many_requests", 429, "too_many"),
        ("throttled", 429, "throttled"),
        ("quota_exceeded", 429, "quota_exceeded"),
        ("unauthorized", 401, "invalid_token"),
        ("server_error", 500, "internal"),
        ("empty", 200, ""),
        ("html", 502, "<html>"),
        ("null", 200, "null"),
        ("redirect", 302, ""),
    ],
)
def test_faults_can_send_prepared_responses(
    sandbox: Sandbox, upload: Upload, kind: Any, status: int, text: str
) -> None:
    sandbox.admin.fault(kind)
    answer = upload()
    assert answer.status_code == status
    assert text in answer.text
    assert sandbox.admin.files() == []
    assert sandbox.admin.requests()[-1].fault == kind
    assert upload().status_code == 202


def test_the_garbage_fault_sends_invalid_json(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.admin.fault("garbage")
    answer = api.get("/library/info")
    assert answer.headers["content-type"] == "application/json"
    with pytest.raises(UnicodeDecodeError):
        answer.json()


def test_a_response_that_is_lost_leaves_the_upload_stored(sandbox: Sandbox, upload: Upload) -> None:
    sandbox.admin.fault("lose_response", "POST", "/library/files")
    with pytest.raises(httpx.ReadError):
        upload("a.png", b"x" * 300_000)
    (stored,) = sandbox.admin.files()
    assert stored["size"] == 300_000


def test_a_fault_also_strikes_the_response_to_a_wrong_token(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    sandbox.admin.fault("lose_response")
    wrong = {"authorization": "Bearer wrong"}
    with pytest.raises(httpx.ReadError):
        api.get("/library/info", headers=wrong)
    assert api.get("/library/info", headers=wrong).status_code == 401


@pytest.mark.parametrize("after_bytes", [0, 1, 100_000])
def test_a_reset_in_the_middle_of_the_body_stores_nothing(
    sandbox: Sandbox, upload: Upload, after_bytes: int
) -> None:
    sandbox.admin.fault("reset", after_bytes=after_bytes)
    with pytest.raises(httpx.TransportError):
        upload("a.png", b"x" * 4_000_000)
    assert sandbox.admin.files() == []
    (entry,) = sandbox.admin.requests()
    assert after_bytes <= entry.received < 4_000_000
    assert entry.status is None


def test_a_response_before_the_body_is_read_reaches_the_client(
    sandbox: Sandbox, upload: Upload
) -> None:
    sandbox.admin.fault("too_large_early")
    answer = upload("a.png", b"x" * 4_000_000)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert upload().status_code == 202


def test_a_response_can_be_cut(sandbox: Sandbox, api: httpx.Client, upload: Upload) -> None:
    sandbox.admin.fault("cut_response", times=2)
    with pytest.raises(httpx.RemoteProtocolError):
        upload()
    with pytest.raises(httpx.RemoteProtocolError, match="peer closed"):
        api.get("/library/info")
    assert len(sandbox.admin.files()) == 1


def test_a_response_can_be_sent_slowly(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.admin.fault("trickle", seconds=0.001, size=16)
    began = time.perf_counter()
    assert "usage_summary" in api.get("/library/info").json()
    # Some forty pieces, a thousandth of a second apart: it cannot have been faster.
    assert time.perf_counter() - began > 0.02


def test_delays_come_before_or_after_the_operation(
    sandbox: Sandbox, api: httpx.Client, upload: Upload
) -> None:
    sandbox.admin.fault("delay", "GET", seconds=30)
    sandbox.admin.fault("delay_response", "POST", seconds=30)
    with pytest.raises(httpx.ReadTimeout):
        api.get("/library/info", timeout=0.2)
    api.timeout = httpx.Timeout(0.5)
    with pytest.raises(httpx.ReadTimeout):
        upload()
    assert len(sandbox.admin.files()) == 1


def test_a_hanging_request_never_ends(sandbox: Sandbox, api: httpx.Client, upload: Upload) -> None:
    sandbox.admin.fault("hang")
    api.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        upload()
    assert sandbox.admin.files() == []


def test_raw_bytes_are_sent_unchanged(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.admin.fault(
        "raw", body="HTTP/1.1 299 Strange\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    )
    answer = api.get("/library/info")
    assert (answer.status_code, answer.text) == (299, "ok")
    sandbox.admin.fault("raw", body=b"\x16\x03\x01 not HTTP at all")
    with pytest.raises(httpx.RemoteProtocolError):
        api.get("/library/info")


def test_the_echo_fault_repeats_the_secrets(sandbox: Sandbox, upload: Upload) -> None:
    sandbox.admin.fault("echo")
    answer = upload()
    for secret in ("sandbox-key", "sandbox-token"):
        assert secret in answer.text
        assert secret in answer.headers["x-echo"]
        assert secret in answer.headers["location"]


@pytest.mark.parametrize("kind", ["huge", "gzip_bomb"])
def test_responses_can_be_huge(sandbox: Sandbox, api: httpx.Client, kind: Any) -> None:
    sandbox.admin.fault(kind, size=3_000_000)
    answer = api.get("/library/info")
    assert len(answer.content) == 3_000_000
    assert answer.json() == []
    if kind == "gzip_bomb":
        assert int(answer.headers["content-length"]) < 10_000


def test_a_response_can_be_compressed(sandbox: Sandbox, api: httpx.Client, upload: Upload) -> None:
    sandbox.admin.fault("gzip", times=2)
    answer = api.get("/library/info")
    assert answer.headers["content-encoding"] == "gzip"
    assert "usage_summary" in answer.json()
    assert upload().status_code == 202


@pytest.mark.parametrize(
    ("variant", "location", "has_id"),
    [
        ("missing", None, False),
        ("id_only", None, True),
        ("location_only", "{base}/library/files/{id}", False),
        ("relative", "/v2/library/files/{id}", True),
        ("other_host", "https://elsewhere.example/v2/library/files/{id}", True),
        ("query", "{base}/library/files/{id}?api_key=from-the-server&x=1#top", True),
        ("status_form", "{base}/library/files/uploadstatus/{id}", True),
        ("trailing_slash", "{base}/library/files/{id}/", True),
        ("contradicted", "{base}/library/files/{id}9999", True),
        ("absurd", "ht!tp://[::::/../../etc/passwd", True),
    ],
)
def test_location_headers_come_in_every_form(
    sandbox: Sandbox, upload: Upload, variant: str, location: str | None, has_id: Any
) -> None:
    assert variant in LOCATIONS
    sandbox.admin.fault("location", variant=variant)
    answer = upload()
    (file_id,) = [row["id"] for row in sandbox.admin.files()]
    expected = location and location.format(base=sandbox.base_url, id=file_id)
    assert answer.headers.get("location") == expected
    assert answer.headers.get("id") == (file_id if has_id else None)


def test_an_unused_fault_fails_the_assertion(sandbox: Sandbox, upload: Upload) -> None:
    sandbox.admin.fault("unavailable", "POST", "/library/files")
    sandbox.admin.fault("delay", "GET", "/nowhere", times=None)
    with pytest.raises(AssertionError, match=r"unavailable \(POST .*delay \(GET /nowhere"):
        sandbox.admin.assert_faults_struck()
    assert upload().status_code == 503
    with pytest.raises(AssertionError) as caught:
        sandbox.admin.assert_faults_struck()
    assert "unavailable" not in str(caught.value)
    sandbox.admin.clear_faults()
    sandbox.admin.assert_faults_struck()


def test_the_type_hints_cover_every_fault_field_and_setting() -> None:
    from typing import get_args

    from ccv2_async.sandbox.faults import KINDS, PRESETS, Fault, FaultFields, FaultKind
    from ccv2_async.sandbox.settings import SettingChanges, Settings

    assert set(get_args(FaultKind)) == KINDS | set(PRESETS)
    given = {"kind", "method", "path"}
    assert set(FaultFields.__annotations__) == set(Fault.__annotations__) - given
    assert set(SettingChanges.__annotations__) == set(Settings.__annotations__)
