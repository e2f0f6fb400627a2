from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import attrs
import httpx
import pytest

from ccv2_async.sandbox import Sandbox, Settings
from ccv2_async.sandbox.transitions import Script, activity_script, plan_job, upload_script

if TYPE_CHECKING:
    from collections.abc import Callable

    Upload = Callable[..., httpx.Response]


def looks(api: httpx.Client, file_id: str, times: int) -> list[str | None]:
    seen: list[str | None] = []
    for _ in range(times):
        rows = api.get(f"/library/files/uploadstatus/{file_id}").json()
        seen.append(rows[0]["status"] if rows else None)
    return seen


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("menu.pdf", ["Uploaded", "Processing", "Active", "Active"]),
        ("virus.png", ["Uploaded", "Processing", "VirusFound", "VirusFound"]),
        ("failing.png", ["Uploaded", "Processing", "Failed", "Failed"]),
        ("Deleted soon.png", ["Uploaded", "Processing", "Deleted", "Deleted"]),
        ("strange.png", ["Uploaded", "Quarantined", "Active", "Active"]),
        ("late.png", [None, None, "Uploaded", "Processing", "Active"]),
        ("slow.pdf", ["Uploaded"] * 5 + ["Processing"] * 15 + ["Active"]),
        ("stuck.pdf", ["Uploaded"] * 30),
    ],
)
def test_a_file_name_can_script_the_status(
    sandbox: Sandbox, api: httpx.Client, upload: Upload, name: str, expected: list[str | None]
) -> None:
    sandbox.admin.configure(mode="looks", looks=2)
    file_id = upload(name).headers["id"]
    assert looks(api, file_id, len(expected)) == expected


def test_other_requests_do_not_advance_the_status(
    sandbox: Sandbox, api: httpx.Client, upload: Upload
) -> None:
    sandbox.admin.configure(mode="looks", looks=2)
    file_id = upload().headers["id"]
    for _ in range(5):
        row = api.get(f"/library/files/{file_id}").json()
        assert row["status"] == "Uploaded"
        assert "url" not in row


def test_an_upload_changes_state_over_time(
    sandbox: Sandbox, api: httpx.Client, upload: Upload, admin_http: httpx.Client
) -> None:
    sandbox.admin.configure(mode="seconds", seconds=800, speed=2)
    file_id = upload().headers["id"]
    seen = looks(api, file_id, 1)
    for _ in range(4):
        assert admin_http.post("/clock", json={"advance": 110}).json()["time"] > 0
        seen += looks(api, file_id, 1)
    assert seen == ["Uploaded", "Processing", "Processing", "Processing", "Active"]


def test_a_stuck_upload_stays_stuck_in_every_mode(
    sandbox: Sandbox, api: httpx.Client, upload: Upload
) -> None:
    stuck = []
    for mode in ("at_once", "looks", "seconds", "lognormal"):
        sandbox.admin.configure(mode=mode)
        stuck.append(upload("stuck.pdf").headers["id"])
    sandbox.admin.advance(1e9)
    rows = api.get(f"/library/files/uploadstatus/{','.join(stuck)}").json()
    assert {row["status"] for row in rows} == {"Uploaded"}


def test_processing_times_vary_around_the_median_and_repeat_with_the_seed() -> None:
    settings = Settings(mode="lognormal", seconds=8.0, sigma=0.6, seed=3)

    def drawn(settings: Settings) -> list[float]:
        plans = [
            plan_job(settings, Script("Active"), key=str(number), now=0.0) for number in range(2000)
        ]
        return [plan.seconds or 0.0 for plan in plans]

    times = drawn(settings)
    assert times == drawn(settings)
    assert times != drawn(attrs.evolve(settings, seed=4))
    assert 7.5 < statistics.median(times) < 8.5
    assert min(times) > 0


def test_a_plan_knows_when_it_is_due() -> None:
    by_time = plan_job(Settings(mode="seconds", seconds=8), Script("Active"), key="1", now=100.0)
    assert by_time.due() == 108.0
    by_looks = plan_job(Settings(mode="looks"), Script("Active"), key="1", now=100.0)
    assert by_looks.due() is None


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_a_file_that_is_not_known_yet_has_its_first_status_in_listings(asked: int) -> None:
    script = upload_script("late.png", infected=False)
    plan = plan_job(Settings(mode="looks", looks=asked), script, key="file 1", now=0.0)
    assert [plan.status(0.0, looks) for looks in range(3)] == ["Uploaded"] * 3


def test_infected_content_overrides_a_scripted_name() -> None:
    assert upload_script("slow.pdf", infected=True).end == "VirusFound"


@pytest.mark.parametrize(
    ("name", "end"), [("fail.csv", "ERROR"), ("cancelled.csv", "CANCELLED"), ("x.csv", "COMPLETE")]
)
def test_activity_file_names_can_script_the_status(name: str, end: str) -> None:
    assert activity_script(name).end == end


def test_the_admin_path_sets_and_releases_a_status(
    sandbox: Sandbox, api: httpx.Client, upload: Upload, admin_http: httpx.Client
) -> None:
    file_id = upload().headers["id"]
    answer = admin_http.post(f"/files/{file_id}/status", json={"status": "Failed"})
    assert answer.status_code == 200
    assert looks(api, file_id, 1) == ["Failed"]
    sandbox.admin.set_status(file_id, None)
    assert looks(api, file_id, 1) == ["Active"]
    assert admin_http.post("/files/77/status", json={"status": "Failed"}).status_code == 404


def test_the_clock_can_be_simulated() -> None:
    @attrs.define
    class Fixed:
        now: float = 1_000_000.0

        def time(self) -> float:
            return self.now

    clock = Fixed()
    with Sandbox(clock=clock) as sandbox:
        assert sandbox.admin.time() == 1_000_000.0
        clock.now += 5
        assert sandbox.admin.time() == 1_000_005.0
        answer = httpx.get(f"{sandbox.base_url}/library/info")
        assert answer.headers["date"] == "Mon, 12 Jan 1970 13:46:45 GMT"
