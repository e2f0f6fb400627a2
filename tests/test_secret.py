"""A `Secret` reveals its value only on request."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from string import Template
from typing import Any

import attrs
import pytest

from ccv2_async.secret import HIDDEN, Secret
from tests.support.exposure import inspected, shown

VALUE = "the-key-of-mine"


@attrs.frozen
class Holder:
    secret: Secret[str]
    others: list[Secret[str]]


def holder() -> Holder:
    return Holder(Secret(VALUE), [Secret(VALUE)])


def test_it_reveals_its_value_on_request() -> None:
    assert Secret(VALUE).reveal() == VALUE
    wrapped: Secret[str] = Secret(Secret(VALUE))
    assert wrapped.reveal() == VALUE


def test_no_way_of_showing_it_shows_its_value(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(VALUE)
    for text in (*shown(secret), *shown(holder()), *shown({secret: [secret]}), inspected(secret)):
        assert VALUE not in text
    logging.getLogger("x").error("%s %r", secret, secret)
    assert caplog.messages == [f"Secret({HIDDEN!r}) Secret({HIDDEN!r})"]
    assert VALUE not in Template("$it").substitute(it=secret)
    assert VALUE not in f"{secret}{secret!r}{secret!s:>40}{'%s' % secret}"  # noqa: UP031
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_no_attribute_holds_its_value() -> None:
    secret: Any = Secret(VALUE)
    assert not hasattr(secret, "__dict__")
    held = [getattr(secret, name) for name in dir(secret) if name != "__class__"]
    assert VALUE not in repr(held)
    assert VALUE not in held


def test_asdict_leaves_it_wrapped() -> None:
    assert attrs.asdict(holder()) == {"secret": Secret(VALUE), "others": [Secret(VALUE)]}
    assert VALUE not in repr((attrs.asdict(holder()), attrs.astuple(holder())))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [Secret(VALUE), holder(), [Secret(VALUE)]])
def test_it_cannot_be_pickled(value: object, protocol: int) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(value, protocol)


def test_a_copy_is_the_same_secret() -> None:
    secret = Secret(VALUE)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
    assert attrs.evolve(holder(), secret=secret).secret is secret


def test_it_equals_no_text() -> None:
    secret: Any = Secret(VALUE)
    assert secret != VALUE
    assert secret != VALUE
    assert secret not in {VALUE, VALUE.encode(), hash(VALUE)}
    assert hash(secret) != hash(VALUE)
    assert secret == Secret(VALUE)
    assert secret != Secret("another")
    assert len({secret, Secret(VALUE), Secret("another")}) == 2


@pytest.mark.parametrize("use", [len, iter, list, int, bytes, lambda it: it + "", lambda it: it[0]])
def test_it_cannot_be_mistaken_for_text(use: Any) -> None:
    with pytest.raises(TypeError):
        use(Secret(VALUE))
