"""A process that can open no more files gets errors of this package, and every call ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, os, resource
from ccv2_async import ConstantContact, errors

def allow(number):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))

async def main():
    client = ConstantContact(api_key="k", access_token="t", base_url="http://127.0.0.1:9/v2")
    allow(os.dup(0))  # a copy that stays open: the next one would be too many
    try:
        await client.open()
    except errors.UsageError as error:
        print(error)
    allow(100)
    await client.open()
    client.account
    allow(os.dup(0))
    with client.deadline(0.2):
        try:
            await client.account.info()
        except errors.TransportError as error:
            print(error)
    await client.aclose()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def said() -> list[str]:
    """The errors of a client that can open no file: when it opens, and later."""
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_client_that_can_open_no_file_cannot_be_opened(said: list[str]) -> None:
    assert said[0] == "The client cannot be opened (Too many open files)."


def test_a_call_that_can_open_no_socket_was_not_sent(said: list[str]) -> None:
    assert "no connection to 127.0.0.1" in said[1]
    assert "Too many open files" in said[1]
