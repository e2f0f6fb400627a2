"""Rules that hold for every exception of the package."""

from __future__ import annotations

import pickle

from ccv2_async import errors


def test_a_message_of_any_length_is_cut_and_keeps_its_advice() -> None:
    said = "a line\n" * 100_000
    error = errors.ConstantContactError(f"It said: {said} Try again later.")
    assert len(error.message) < 20_000
    assert error.message.startswith("It said: a line\\na line")
    assert error.message.endswith(" Try again later.")
    assert error.args == (error.message,)
    assert str(error) == error.message


def test_an_error_gives_its_reason_without_the_advice() -> None:
    error = errors.ConnectFailed.from_parts("the\nthing", "no\nconnection", "Try again.")
    assert error.message == "the\\nthing: no\\nconnection. Try again."
    assert error.reason == "no\\nconnection"
    assert errors.ClientClosed("The client is closed.").reason == "The client is closed"
    assert pickle.loads(pickle.dumps(error)).reason == error.reason  # noqa: S301  # our own
