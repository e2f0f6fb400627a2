"""Certificates from the environment that cannot be loaded."""

from __future__ import annotations

import asyncio
import os
import ssl
from subprocess import check_output
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from ccv2_async import ConstantContact, errors
from ccv2_async.sandbox import Sandbox
from tests.support.servers import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HTTPS = "https://127.0.0.1:9/v2"


def missing(folder: Path) -> Path:
    return folder / "missing"


def directory(folder: Path) -> Path:
    (folder / "directory").mkdir()
    return folder / "directory"


def file_of(content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "file"
        path.write_bytes(content)
        return path

    return write


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def odd_name(folder: Path) -> Path:
    return folder / "a\nb"


def full(folder: Path) -> Path:
    path = directory(folder)
    (path / "server.pem").write_text("x")
    return path


WRONG = [
    ("SSL_CERT_FILE", missing, "there is no such file"),
    ("SSL_CERT_FILE", directory, "it is not a file"),
    ("SSL_CERT_FILE", file_of(b""), "the file is empty"),
    ("SSL_CERT_FILE", file_of(b"no certificate"), "no certificates in PEM format"),
    ("SSL_CERT_FILE", file_of(os.urandom(5000)), "no certificates in PEM format"),
    (
        "SSL_CERT_FILE",
        file_of(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        "no certificates in PEM format",
    ),
    ("SSL_CERT_FILE", pipe, "it is not a file"),
    ("SSL_CERT_FILE", odd_name, "there is no such file"),
    ("SSL_CERT_DIR", missing, "there is no such directory"),
    ("SSL_CERT_DIR", file_of(b"x"), "there is no such directory"),
    ("SSL_CERT_DIR", directory, "openssl rehash"),
    ("SSL_CERT_DIR", full, "openssl rehash"),
    ("SSLKEYLOGFILE", directory, "it cannot be used"),
]
LABELS = [f"{variable}-{reason[:24]}" for variable, _, reason in WRONG]


def check(error: BaseException, variable: str, reason: str) -> None:
    assert isinstance(error, errors.UsageError)
    text = str(error)
    assert variable in text
    assert reason in text
    assert text.isprintable()
    assert text.count(". ") == 0


@pytest.mark.parametrize(("variable", "make", "reason"), WRONG, ids=LABELS)
async def test_an_https_client_is_refused_when_it_opens(
    variable: str,
    make: Callable[[Path], Path],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, str(make(tmp_path)))
    cc = ConstantContact(api_key="k", access_token="t", base_url=HTTPS)
    with pytest.raises(errors.UsageError) as caught:
        await cc.open()
    check(caught.value, variable, reason)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_an_unreadable_certificate_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file_of(b"x")(tmp_path)
    path.chmod(0)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    cc = ConstantContact(api_key="k", access_token="t", base_url=HTTPS)
    with pytest.raises(errors.UsageError) as caught:
        await cc.open()
    check(caught.value, "SSL_CERT_FILE", "it cannot be read (Permission denied)")


@pytest.mark.parametrize("through_proxy", [False, True])
@pytest.mark.parametrize(
    ("variable", "make"), [(variable, make) for variable, make, _ in WRONG], ids=LABELS
)
async def test_http_works_without_certificates(  # noqa: PLR0917  # parameters and fixtures
    variable: str,
    make: Callable[[Path], Path],
    through_proxy: bool,
    connect: Callable[..., Any],
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, str(make(tmp_path)))
    async with Proxy() as proxy:
        options = {"proxy": proxy.origin} if through_proxy else {}
        cc = await connect(sandbox, **options)
        assert await cc.account.info()


@pytest.mark.parametrize(
    ("api", "proxy"), [("https", "http"), ("https", "https"), ("http", "https")]
)
async def test_https_to_or_through_a_proxy_needs_certificates(
    api: str, proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(missing(tmp_path)))
    cc = ConstantContact(
        api_key="k",
        access_token="t",
        base_url=HTTPS.replace("https", api),
        proxy=f"{proxy}://127.0.0.1:9",
    )
    with pytest.raises(errors.UsageError) as caught:
        await cc.open()
    check(caught.value, "SSL_CERT_FILE", "there is no such file")


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:9"])
async def test_a_download_over_https_needs_certificates_even_for_an_http_api(
    proxy: str | None,
    connect: Callable[..., Any],
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(missing(tmp_path)))
    cc = await connect(sandbox, **({"proxy": proxy} if proxy else {}))
    session = cc._open_parts.session
    with pytest.raises(errors.UsageError) as caught:
        async with session.download("https://127.0.0.1:9/export.csv", "the export"):
            pass
    check(caught.value, "SSL_CERT_FILE", "there is no such file")


async def test_certificates_are_loaded_from_a_file_and_from_directories(
    tmp_path: Path, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(file)
    with Sandbox(mode="at_once", tls=context) as sandbox:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert await (await connect(sandbox)).account.info()
        monkeypatch.delenv("SSL_CERT_FILE")
        hashed = directory(tmp_path)
        command = ["openssl", "x509", "-noout", "-hash", "-in", str(file)]
        name = await asyncio.to_thread(check_output, command, text=True)
        (hashed / f"{name.strip()}.0").write_bytes(file.read_bytes())
        monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([str(missing(tmp_path)), str(hashed)]))
        assert await (await connect(sandbox)).account.info()


async def test_a_changed_environment_applies_to_the_next_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ConstantContact(api_key="k", access_token="t", base_url=HTTPS):
        pass
    monkeypatch.setenv("SSL_CERT_FILE", str(missing(tmp_path)))
    with pytest.raises(errors.UsageError):
        await ConstantContact(api_key="k", access_token="t", base_url=HTTPS).open()
    monkeypatch.delenv("SSL_CERT_FILE")
    async with ConstantContact(api_key="k", access_token="t", base_url=HTTPS):
        pass


async def test_a_custom_ssl_context_ignores_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(missing(tmp_path)))
    context = httpx.create_ssl_context(verify=False)
    for verify in (context, False):
        async with ConstantContact(api_key="k", access_token="t", base_url=HTTPS, verify=verify):
            pass
