from __future__ import annotations

import ssl
import traceback
from functools import partial
from itertools import product
from typing import Any

import httpx
import pytest

from ccv2_async import Budget, ConstantContact, OAuthFlow, errors
from ccv2_async.transport.calls.call import Timeouts
from tests.support.exposure import texts_of

GIVEN: dict[str, Any] = {"api_key": "sandbox-key", "access_token": "sandbox-token"}
OAUTH: dict[str, Any] = {"client_id": "i", "client_secret": "s", "redirect_uri": "https://h/b"}
PASSWORD = "a" + "-pass"


def timeouts(read: Any) -> Timeouts:
    return Timeouts(read=read)


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        *product(("per_second", "per_day"), ("5", True, 0, -1, [])),
        ("per_second", float("nan")),
        ("per_day", 2**64),
        ("per_day", 2.5),
        *product(["max_in_flight"], ("5", True, 0, None, 1.0)),
        *product(["timeouts"], (3, "3", {"read": 3}, httpx.Timeout(3))),
        *product(["timeouts"], map(timeouts, ("3", 0, -1, True))),
        ("budget", 4),
        ("proxy", b"http://127.0.0.1"),
        ("proxy", httpx.Proxy("http://127.0.0.1")),
        *product(["verify"], ("ca.pem", None, 1)),
        ("trust_env", "no"),
        ("base_url", b"https://127.0.0.1/v2"),
        ("base_url", None),
        *product(("refresh_token", "on_event", "http_client", "clock"), ["f"]),
        ("clock", 3.0),
    ],
)
def test_an_option_of_the_wrong_type_is_refused_by_name(option: str, wrong: object) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        ConstantContact(**GIVEN | {option: wrong})
    assert caught.value.field == option


@pytest.mark.parametrize(
    "option",
    ["base_url", "proxy", "http_client", "budget", "refresh_token", "on_event", "clock"],
)
def test_a_value_that_may_be_a_secret_is_refused_without_being_shown(
    option: str,
) -> None:
    for wrong in (b"rt-hush", ["rt-hush"], {"token": "rt-hush"}, "rt-hush"):
        if option in ("base_url", "proxy") and isinstance(wrong, str):
            continue  # text is right there, and what it says is looked at elsewhere
        with pytest.raises(errors.InvalidField) as caught:
            ConstantContact(**GIVEN | {option: wrong})
        assert caught.value.field == option
        assert type(wrong).__name__ in caught.value.value
        assert "hush" not in f"{caught.value!r} {caught.value} {vars(caught.value)}"


async def hear(_: object) -> None:
    """An async function, which nobody would await."""


class Hearing:
    async def __call__(self, _: object) -> None:
        """Nor this."""


@pytest.mark.parametrize("hook", [hear, partial(hear), Hearing()])
def test_an_async_event_hook_is_refused(hook: Any) -> None:
    with pytest.raises(errors.InvalidField, match=r"on_event is .*plain function"):
        ConstantContact(**GIVEN, on_event=hook)


def test_a_blocking_client_is_refused() -> None:
    with (
        httpx.Client() as blocking,
        pytest.raises(errors.InvalidField, match=r"httpx\.AsyncClient"),
    ):
        ConstantContact(**GIVEN, http_client=blocking)  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize("option", ["api_key", "access_token"])
@pytest.mark.parametrize("wrong", [b"a-secret", ["a-secret"], 5])
def test_credentials_that_are_not_text_are_refused_without_being_shown(
    option: str, wrong: object
) -> None:
    with pytest.raises(errors.MissingCredentials, match="must be text, not") as caught:
        ConstantContact(**GIVEN | {option: wrong})
    assert "a-secret" not in repr(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [{"api_key": ""}, {"base_url": "ftp://api.example"}, {"http_client": httpx}],
    ids=["no key", "a wrong base URL", "a client and a proxy"],
)
def test_a_refusal_of_another_option_does_not_show_the_proxy(wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.UsageError) as caught:
        ConstantContact(**{**GIVEN, "proxy": f"http://me:{PASSWORD}@127.0.0.1", **wrong})
    for text in texts_of(caught.value):
        assert PASSWORD not in text


@pytest.mark.parametrize("make", [ConstantContact, OAuthFlow])
@pytest.mark.parametrize(
    "url",
    [
        "https://u:{}@h:99999/x",
        "https://u:{}@[bad/x",
        "https://u:{}@h/x",
        "https://h:{}/x",
        "https://h/x?api_key={}",
        "https://h/x#{}",
        "https://two words:{}@h",
        "ftp://u:{}@h",
        "{}",
    ],
)
def test_a_wrong_base_url_is_refused_without_its_secrets(url: str, make: Any) -> None:
    given = GIVEN if make is ConstantContact else OAUTH
    with pytest.raises(errors.InvalidField, match="base_url") as caught:
        make(**given, base_url=url.format(PASSWORD))
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert PASSWORD not in "".join((*shown.format(), repr(vars(caught.value))))


def test_an_invalid_proxy_is_refused_without_being_shown() -> None:
    with pytest.raises(errors.InvalidField) as caught:
        ConstantContact(**GIVEN, proxy=b"http://me:hush@127.0.0.1")  # type: ignore[arg-type]  # the mistake
    assert "hush" not in repr(caught.value)


async def test_options_of_the_right_type_are_accepted() -> None:
    async with httpx.AsyncClient() as theirs:
        ConstantContact(**GIVEN, http_client=theirs, budget=Budget(0.5, None))
    ConstantContact(
        **GIVEN,
        per_second=None,
        per_day=None,
        verify=ssl.create_default_context(),
        proxy="http://127.0.0.1:3128",
        timeouts=Timeouts(1, 2.5, None),
        max_in_flight=1,
        refresh_token=lambda: "fresh",
        on_event=print,
    )


@pytest.mark.parametrize(
    "base_url", ["http://two words.example/v2", "http://\u2603..example/v2", "https://xn--/v2"]
)
def test_an_impossible_host_is_refused_with_invalid_field(base_url: str) -> None:
    with pytest.raises(errors.InvalidField, match="base_url"):
        ConstantContact(api_key="key", access_token="token", base_url=base_url)


@pytest.mark.parametrize("proxy", ["nonsense", "ftp://proxy.example", "http://me:secret@[::1"])
async def test_an_impossible_proxy_is_refused_when_the_client_is_opened(proxy: str) -> None:
    client = ConstantContact(api_key="key", access_token="token", proxy=proxy)
    with pytest.raises(errors.UsageError, match="proxy") as raised:
        await client.open()
    assert "secret" not in str(raised.value)
    await client.aclose()
