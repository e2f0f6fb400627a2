"""Record what a client sends to the service and receives from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import attrs

from ccv2_async.transport.files.body import BytesBody

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from ccv2_async import ConstantContact
    from ccv2_async.transport.calls.call import Call, Response


@attrs.frozen
class Ear:
    """Every call that a client makes, and every answer that it gets."""

    calls: list[Call] = attrs.field(factory=list)
    answers: list[Response] = attrs.field(factory=list)

    @classmethod
    def at(cls, cc: ConstantContact, monkeypatch: pytest.MonkeyPatch) -> Self:
        """Return an ear that records from now on."""
        ear = cls()
        session = cc._open_parts.session
        read = session.read

        async def heard(call: Call, parse: Callable[[Response], Any]) -> Any:
            def parse_and_keep(answer: Response) -> Any:
                ear.answers.append(answer)
                return parse(answer)

            ear.calls.append(call)
            return await read(call, parse_and_keep)

        monkeypatch.setattr(session, "read", heard)
        monkeypatch.setattr(session, "send", lambda call: heard(call, lambda answer: answer))
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
