from __future__ import annotations

import logging

import pytest

from ccv2_async.client_options import checked_origin
from ccv2_async.errors import InvalidField


@pytest.mark.parametrize(
    "url",
    ["https://api.constantcontact.com/v2", "http://127.0.0.1:8080/v2", "http://[::1]/v2"],
)
def test_https_and_localhost_give_no_warning(url: str, caplog: pytest.LogCaptureFixture) -> None:
    assert checked_origin(url + "/") == url
    assert not caplog.records


@pytest.mark.parametrize("host", ["example.com", "10.1.2.3"])
def test_sending_credentials_in_clear_text_gives_a_warning(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "ccv2_async"):
        assert checked_origin(f"http://{host}/v2") == f"http://{host}/v2"
    assert [record.getMessage() for record in caplog.records] == [
        f"The base URL is http, so the key and the token go to {host} unencrypted; use https."
    ]


@pytest.mark.parametrize(
    "url",
    ["", "ftp://host/v2", "https://", "https://user:secret@host/v2", "https://host/v2?a=1"],
)
def test_an_invalid_origin_is_refused_without_showing_its_user(url: str) -> None:
    with pytest.raises(InvalidField) as caught:
        checked_origin(url)
    assert "secret" not in str(caught.value)
