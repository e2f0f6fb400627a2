from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import httpx
import pytest

from benchmarks.arena import Arena, BytesDifferError, ContestantError, build_sink
from benchmarks.clients import fields
from benchmarks.samples import make

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.samples import Sample


async def send(arena: Arena, sample: Sample, content: bytes) -> httpx.Response:
    async with httpx.AsyncClient(verify=arena.site.tls() or True, trust_env=False) as client:
        return await client.post(
            arena.site.uploads,
            data=fields(sample.path),
            files={"data": (sample.path.name, content, "application/pdf")},
        )


@pytest.mark.parametrize("tls", [False, True])
async def test_the_compiled_server_counts_every_upload(tls: bool, tmp_path: Path) -> None:
    sink = build_sink(tmp_path)
    if sink is None:
        pytest.skip("needs a C compiler and OpenSSL's headers")
    first, second = make(tmp_path, 2, 70_000)
    async with Arena.open(tmp_path, tls=tls, sink=sink) as arena:
        for sample in (first, second):
            answer = await send(arena, sample, sample.path.read_bytes())
            assert answer.status_code == 202
            assert answer.headers["location"].endswith(f"/v2/library/files/{answer.headers['id']}")
        await arena.verify([first, second])
        await send(arena, first, first.path.read_bytes()[:1000])
        with pytest.raises(BytesDifferError, match="70000"):
            await arena.verify([first])
        async with arena.guest("pyreqwest") as contestant:
            paths = [str(sample.path) for sample in (first, second)]
            await contestant.call("benchmarks.sending:send", paths=paths, in_flight=2)
        await arena.verify([first, second])


@pytest.mark.parametrize("tls", [False, True])
async def test_complete_files_are_verified_and_then_forgotten(tls: bool, tmp_path: Path) -> None:
    first, second = make(tmp_path, 2, 70_000)
    async with Arena.open(tmp_path, tls=tls) as arena:
        for sample in (first, second, first):
            answer = await send(arena, sample, sample.path.read_bytes())
            assert answer.status_code == 202
            assert answer.headers["location"].endswith(f"/v2/library/files/{answer.headers['id']}")
        await arena.verify([first, first, second])
        await arena.verify([])


async def test_changed_missing_and_extra_files_are_noticed(tmp_path: Path) -> None:
    first, second = make(tmp_path, 2, 500)
    async with Arena.open(tmp_path) as arena:
        await send(arena, first, first.path.read_bytes()[:-1] + b"?")
        with pytest.raises(BytesDifferError, match="500-0"):
            await arena.verify([first])
        await send(arena, first, first.path.read_bytes())
        with pytest.raises(BytesDifferError, match="500-1"):
            await arena.verify([first, second])
        await send(arena, first, first.path.read_bytes())
        with pytest.raises(BytesDifferError, match="not expected"):
            await arena.verify([])


async def test_a_wrong_name_and_a_body_that_is_not_a_form_are_noticed(tmp_path: Path) -> None:
    (sample,) = make(tmp_path, 1, 500)
    async with Arena.open(tmp_path) as arena:
        lying = attrs.evolve(sample, path=tmp_path / "other.pdf")
        answer = await send(arena, lying, sample.path.read_bytes())
        assert answer.status_code == 202
        with pytest.raises(BytesDifferError, match="other"):
            await arena.verify([sample])
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(
                arena.site.uploads,
                content=b"--b\r\nno form at all\r\n",
                headers={"Content-Type": "multipart/form-data; boundary=b"},
            )
        assert answer.status_code == 400
        with pytest.raises(BytesDifferError, match="no file part"):
            await arena.verify([])


async def test_a_contestant_that_fails_says_where(tmp_path: Path) -> None:
    async with Arena.open(tmp_path) as arena, arena.guest("httpx files=") as contestant:
        with pytest.raises(ContestantError, match="No such file"):
            await contestant.call(
                "benchmarks.sending:send", paths=[str(tmp_path / "none.pdf")], in_flight=1
            )
