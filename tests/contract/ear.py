"""Hears what a client says to the service and what it is told, without being in the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import attrs

from ccv2_async.transport.body import BytesBody

if TYPE_CHECKING:
    import pytest

    from ccv2_async import ConstantContact
    from ccv2_async.transport.calls import Answer, Call


@attrs.frozen
class Ear:
    """Every call that a client makes, and every answer that it gets."""

    calls: list[Call] = attrs.field(factory=list)
    answers: list[Answer] = attrs.field(factory=list)

    @classmethod
    def at(cls, cc: ConstantContact, monkeypatch: pytest.MonkeyPatch) -> Self:
        """An ear that hears from now on."""
        ear = cls()
        session = cc._open_parts.session
        send = session.send

        async def heard(call: Call) -> Answer:
            ear.calls.append(call)
            ear.answers.append(await send(call))
            return ear.answers[-1]

        monkeypatch.setattr(session, "send", heard)
        return ear

    @property
    def requests(self) -> list[str]:
        """Method and path of each call."""
        return [f"{call.method} {call.path}" for call in self.calls]

    @property
    def sent(self) -> Any:
        """The JSON of the last call's body."""
        body = self.calls[-1].body
        assert isinstance(body, BytesBody)
        return json.loads(body.content)
