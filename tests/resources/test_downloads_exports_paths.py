"""Exports and uploads with unusual and impossible paths."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import ConstantContact, errors
from ccv2_async.transport.calls.download import target_of
from tests.resources.test_downloads_exports import CONTENT, exported, names, whole
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_UTF8 = os.fsdecode(b"caf\xe9")


async def save(connect: Callable[..., Any], to: object) -> int:
    async with serving(whole) as server:
        cc = await connect(server)
        try:
            size: int = await cc.activities.download_export(exported("/x.csv"), to)
        finally:
            await cc.aclose()
    return size


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "\U0001f600" * 63, NOT_UTF8, "a\nb"])
async def test_long_and_unusual_file_names_work(
    connect: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    assert await save(connect, tmp_path / name) == len(CONTENT)
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "to",
    ["x" * 256, "é" * 128, f"{NOT_UTF8}/x", f"{NOT_UTF8}/{'x' * 300}", "no\nfolder/x", "file/x"],
)
async def test_an_unwritable_path_is_reported_in_one_printable_line(
    connect: Callable[..., Any], tmp_path: Path, to: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(errors.UsageError, match="cannot be written there") as caught:
        await save(connect, tmp_path / to)
    assert str(caught.value).isprintable()
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("to", ["/proc/export.csv", "/sys/export.csv"])
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs directories that take no file")
async def test_a_directory_that_cannot_take_a_file_is_refused(
    connect: Callable[..., Any], to: str
) -> None:
    with pytest.raises(errors.UsageError, match="cannot be written there"):
        await save(connect, to)


@pytest.mark.parametrize(
    ("to", "rule"),
    [
        ("", "must not be empty"),
        ("a\0b", "or contain null characters"),
        (b"a\0b", "a path"),
        ("a\ud800b", "can be encoded in utf-8"),
    ],
)
async def test_impossible_paths_are_refused(
    connect: Callable[..., Any], to: object, rule: str
) -> None:
    with pytest.raises(errors.InvalidField, match=rule) as caught:
        await save(connect, to)
    assert str(caught.value).isprintable()


async def test_a_disk_that_fills_up_during_the_export_is_reported(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_bytes(b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(errors.UsageError, match="cannot be written there"):
            await save(connect, tmp_path / "x.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == ["x.csv"]
    assert (tmp_path / "x.csv").read_bytes() == b"before"


async def test_a_failure_to_keep_permissions_leaves_no_file_behind(
    connect: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    (tmp_path / "x.csv").write_bytes(b"before")
    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(errors.UsageError, match="Operation not permitted"):
        await save(connect, tmp_path / "x.csv")
    assert names(tmp_path) == ["x.csv"]


async def test_an_error_about_a_path_that_is_not_utf8_names_the_encoding(
    client: ConstantContact, tmp_path: Path
) -> None:
    path = tmp_path / f"{NOT_UTF8}.png"
    path.write_bytes(b"picture")
    with pytest.raises(errors.InvalidField, match="it must be valid UTF-8") as caught:
        await client.library.upload(path)
    assert str(caught.value).isprintable()
    assert (await client.library.upload(path, name="cafe.png")).name == "cafe.png"
    results = [result async for result in client.upload_many([path])]
    assert "it must be valid UTF-8" in str(results[0].error)


@pytest.mark.parametrize("path", ["a\0b.png", "x" * 300 + ".png"])
async def test_an_upload_from_an_impossible_path_is_refused(
    client: ConstantContact, path: str
) -> None:
    with pytest.raises(errors.UsageError, match="Nothing was sent") as caught:
        await client.library.upload(path, name="a.png")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("port", ["0", "00", "65536", "99999999999999999999", "-1", "x"])
def test_invalid_ports_are_refused(port: str) -> None:
    with pytest.raises(errors.InvalidField, match="base_url"):
        ConstantContact(api_key="k", access_token="t", base_url=f"https://a.example:{port}/v2")
    with pytest.raises(ValueError, match="it is no"):
        target_of(f"https://files.example:{port}/x.csv", "https://a.example/v2")


@pytest.mark.parametrize("path", ["", "no\nfolder"])
async def test_a_bulk_upload_names_empty_and_odd_paths_in_its_error(
    client: ConstantContact, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    results = [result async for result in client.upload_many([path])]
    assert len(results) == 1
    assert str(results[0].error).isprintable()
    assert not str(results[0].error).startswith(":")
