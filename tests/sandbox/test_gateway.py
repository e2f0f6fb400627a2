from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.sandbox import Sandbox
from ccv2_async.sandbox.state.gateway import DAY, Quota
from tests.sandbox.conftest import credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    Upload = Callable[..., httpx.Response]

TOKEN = {"authorization": "Bearer sandbox-token"}


def key_of(answer: httpx.Response) -> str:
    (error,) = answer.json()
    key: str = error["error_key"]
    return key


@pytest.mark.parametrize("key", [None, "", "wrong"])
def test_a_call_without_the_right_key_is_refused_by_the_gateway(
    sandbox: Sandbox, key: str | None
) -> None:
    params = {} if key is None else {"api_key": key}
    answer = httpx.get(f"{sandbox.base_url}/library/info", params=params, headers=TOKEN)
    assert (answer.status_code, key_of(answer)) == (403, "mashery.not.authorized.inactive")


@pytest.mark.parametrize("token", [None, "Bearer wrong", "Basic sandbox-token", "sandbox-token"])
def test_a_call_without_the_right_token_is_refused_by_the_service(
    sandbox: Sandbox, token: str | None
) -> None:
    headers = {} if token is None else {"authorization": token}
    answer = httpx.get(
        f"{sandbox.base_url}/library/info", params={"api_key": "sandbox-key"}, headers=headers
    )
    assert answer.status_code == 401
    assert key_of(answer) == "http.status.authentication.invalid_token"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("text/html, application/json;q=0.5", 200),
        ("text/html", 406),
        ("application/xml", 406),
    ],
)
def test_the_accept_header_must_allow_json(api: httpx.Client, accept: str, status: int) -> None:
    assert api.get("/library/info", headers={"accept": accept}).status_code == status


def test_the_accept_header_may_be_missing(sandbox: Sandbox) -> None:
    with httpx.Client() as client:
        del client.headers["accept"]
        answer = client.get(
            f"{sandbox.base_url}/library/info", params={"api_key": "sandbox-key"}, headers=TOKEN
        )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        ('{"name": "x"}', "application/json", 201),
        ('{"name": "x"}', "application/json; charset=UTF-8", 201),
        ('{"name": "x"}', "text/plain", 415),
        ('{"name": "x"}', "", 415),
        ('{"name": ', "application/json", 400),
        ("", "application/json", 400),
        ("[" * 100_000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b" " * 16_777_217, "application/json", 413),
    ],
)
def test_a_json_body_needs_its_content_type_and_valid_json(
    api: httpx.Client, content: Any, content_type: str, status: int
) -> None:
    answer = api.post("/library/folders", content=content, headers={"content-type": content_type})
    assert answer.status_code == status


def test_unknown_paths_and_methods_return_error_bodies(api: httpx.Client) -> None:
    answer = api.get("/library/nothing/here/at/all")
    assert (answer.status_code, key_of(answer)) == (404, "http.status.not_found")
    answer = api.patch("/library/files")
    assert (answer.status_code, key_of(answer)) == (405, "http.status.method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


def test_the_per_second_quota_refuses_like_the_gateway_and_clears_in_a_second(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    sandbox.admin.configure(per_second=2)
    statuses = [api.get("/library/info").status_code for _ in range(3)]
    refused = api.get("/library/info")
    assert statuses[:2] == [200, 200]
    assert statuses[2] == refused.status_code == 403
    assert key_of(refused) == "mashery.not.authorized.over.qps"
    assert refused.headers["x-mashery-error-code"] == "ERR_403_DEVELOPER_OVER_QPS"
    assert refused.headers["retry-after"] == "1"
    sandbox.admin.advance(1.0)
    assert api.get("/library/info").status_code == 200


def test_the_daily_quota_refuses_until_the_next_day_with_optional_headers(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    sandbox.admin.configure(per_day=1, quota_headers=False)
    assert api.get("/library/info").status_code == 200
    refused = api.get("/library/info")
    assert key_of(refused) == "mashery.not.authorized.over.ratelimit"
    assert "retry-after" not in refused.headers
    assert "x-mashery-error-code" not in refused.headers
    sandbox.admin.advance(DAY)
    assert api.get("/library/info").status_code == 200


def test_a_refusal_by_the_daily_quota_says_when_the_next_day_starts(
    sandbox: Sandbox, api: httpx.Client
) -> None:
    sandbox.admin.configure(per_day=0)
    refused = api.get("/library/info")
    assert refused.headers["x-mashery-error-code"] == "ERR_403_DEVELOPER_OVER_RATE"
    assert 0 < int(refused.headers["retry-after"]) <= DAY


def test_calls_at_exactly_the_quota_all_pass() -> None:
    quota = Quota(10, None)
    assert [quota.refusal(1000 + number * 0.1) for number in range(200)] == [None] * 200


def test_refused_calls_do_not_count() -> None:
    quota = Quota(1, None)
    assert [quota.refusal(moment) for moment in (0.0, 0.5, 0.9, 1.0)] == [
        None,
        "over.qps",
        "over.qps",
        None,
    ]


def test_a_call_with_a_wrong_key_costs_no_quota(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.admin.configure(per_day=1)
    assert api.get("/library/info", params={"api_key": "wrong"}).status_code == 403
    assert api.get("/library/info").status_code == 200


def test_the_log_has_everything_except_secrets(
    sandbox: Sandbox, api: httpx.Client, upload: Upload, admin_http: httpx.Client
) -> None:
    upload("a.png", b"12345")
    api.get("/library/files", params={"type": "IMAGES"})
    posted, listed = sandbox.admin.requests()
    assert (posted.method, posted.path, posted.status) == ("POST", "/v2/library/files", 202)
    assert posted.parts[-1] == "data"
    assert posted.received > 5
    assert listed.query == {"type": "IMAGES"}
    assert posted.client == listed.client
    assert listed.ended is not None
    assert listed.ended >= listed.time
    shown = admin_http.get("/requests").text
    assert "library/files" in shown
    assert "sandbox-key" not in shown + repr(posted)
    assert "sandbox-token" not in shown + repr(posted)


def test_the_log_is_bounded_and_can_be_searched() -> None:
    with Sandbox(log_size=2) as small, httpx.Client(base_url=small.base_url) as client:
        for number in range(3):
            client.get(f"/library/files/{number}")
        assert [entry.path[-1] for entry in small.admin.requests()] == ["1", "2"]
        assert len(small.admin.requests("GET", "/library/files/2")) == 1
        assert small.admin.requests("PUT") == []
        assert small.admin.state()["requests"] == {"total": 3, "running": 0, "most_running": 1}


def test_a_reset_clears_files_faults_quota_and_log(
    sandbox: Sandbox, api: httpx.Client, upload: Upload, admin_http: httpx.Client
) -> None:
    upload()
    sandbox.admin.fault("unavailable")
    assert admin_http.post("/reset").status_code == 200
    assert sandbox.admin.files() == []
    assert sandbox.admin.requests() == []
    assert sandbox.admin.faults() == []
    assert api.get("/library/files").json()["results"] == []


class StoppedClock:
    now = 1_764_370_800.0

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize("moved_by", ["admin", "clock"])
async def test_a_response_waits_for_the_latency_on_the_clock_of_the_sandbox(moved_by: str) -> None:
    clock = StoppedClock()
    async with (
        Sandbox(latency=(20, 40), clock=clock) as sandbox,
        httpx.AsyncClient(**credentials(sandbox), trust_env=False) as client,
    ):
        asking = [asyncio.create_task(client.get("/library/info")) for _ in range(20)]

        def move(seconds: float) -> None:
            if moved_by == "admin":
                sandbox.admin.advance(seconds)
            else:
                clock.now += seconds

        async with asyncio.timeout(20):
            while len(sandbox.admin.requests()) < len(asking):  # noqa: ASYNC110  # on a socket
                await asyncio.sleep(0)
            move(19.5)
            for _ in range(3):
                await client.get(f"{sandbox.origin}/__sandbox__/clock")
            assert not any(task.done() for task in asking)
            move(10)
            _, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            assert waiting
            move(11)
            answers = await asyncio.gather(*asking)
        assert {answer.status_code for answer in answers} == {200}


def test_latency_on_the_clock_of_the_machine_delays_refusals_and_downloads_too() -> None:
    with Sandbox(latency=0.02) as sandbox:
        httpx.get(f"{sandbox.base_url}/library/info")
        httpx.get(f"{sandbox.content_origin}/content/1/2.png")
        for entry in (*sandbox.admin.requests(), *sandbox.admin.downloads()):
            assert entry.ended is not None
            assert entry.ended - entry.time >= 0.02


def test_one_operation_is_retired_alone(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.admin.configure(retired=("POST /lists", "GET /contacts/*"))
    body = {"name": "Guests", "status": "ACTIVE"}
    for gone in (api.post("/lists", json=body), api.get("/contacts/1"), api.get("/contacts/x")):
        assert (gone.status_code, key_of(gone)) == (400, "http.status.gone")
    assert api.get("/lists").status_code == 200
    assert api.get("/contacts").status_code == 200
    assert api.delete("/contacts/1").status_code == 404


@pytest.mark.parametrize("name", ["lists_list", "GET lists", "/lists", "get /lists", "POST "])
def test_only_groups_and_operations_can_be_retired(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"cannot be retired; choose from library, .* 'POST /lists'"
    ):
        Sandbox(retired=(name,))
