"""The levers of the page: what its forms do, each by a function of the sandbox's admin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs
import orjson

from ccv2_async.sandbox.forms import Content
from ccv2_async.sandbox.settings import DEMO
from ccv2_async.sandbox.state.library import IMAGE_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import UploadFile

    from ccv2_async.sandbox.admin import Admin
    from ccv2_async.sandbox.world import World

_DOCUMENT_TYPES = frozenset({"PDF", "DOC", "DOCX", "XLS", "XLSX", "PPT", "PPTX"})
_BLOCK = 256 * 1024
_LONGEST_NAME = 80


@attrs.frozen
class Actions:
    """The forms' actions. Each returns a sentence, or raises `ValueError` or `Refusal`.

    Attributes:
        world: The state of the sandbox.
        admin: Its admin, called in its own thread.
    """

    world: World
    admin: Admin

    def run(self, name: str, form: Mapping[str, Any]) -> str:
        """Carry out an action.

        Raises:
            KeyError: There is no such action, or a field is missing.
            ValueError: A field has a wrong value.
            Refusal: The object does not exist.
        """
        return _ACTIONS[name](self, form)

    def fault(self, form: Mapping[str, Any]) -> str:
        """Arm a fault for the next calls of an operation."""
        # A star stands for each parameter of a path.
        operation = re.sub(r"{\w+}", "*", str(form.get("operation", "")))
        method, _, path = operation.partition(" ")
        times = _number(form, "times")
        fields: dict[str, Any] = {"times": times}
        for name, kind in (("status", int), ("skip", int), ("seconds", float)):
            if form.get(name):
                fields[name] = kind(form[name])
        self.admin.fault(form["kind"], method or None, path or "*", **fields)
        calls = {None: "every call", 1: "the next call"}.get(times, f"the next {times} calls")
        return f"{form['kind']} will strike {calls} of {operation or 'the API'}."

    def clear_faults(self, _form: Mapping[str, Any]) -> str:
        """Disarm all faults."""
        self.admin.clear_faults()
        return "All faults are disarmed."

    def configure(self, form: Mapping[str, Any]) -> str:
        """Set the quota and the speed."""
        self.admin.configure(
            per_second=_number(form, "per_second"),
            per_day=_number(form, "per_day"),
            speed=float(form["speed"]),
            mode=form["mode"],
        )
        return "The settings are changed. Jobs that have begun keep their pace."

    def retire(self, form: Mapping[str, Any]) -> str:
        """Withdraw a group of operations, or bring it back."""
        group, retired = form["group"], self.world.settings.retired
        back = group in retired
        self.admin.configure(retired=sorted({group}.symmetric_difference(retired)))
        return f"{group} {'answers again' if back else 'is retired: calls get 400'}."

    def reset(self, form: Mapping[str, Any]) -> str:
        """Start over with a saved state, or a seed: `demo`, a number, or nothing."""
        if form.get("saved"):
            saved = orjson.loads(form["saved"])
            if not isinstance(saved, dict):
                raise ValueError("The file does not hold a saved account.")
            self.admin.load(saved)
            return "Started over with the saved account."
        seed = str(form.get("seed", "")).strip()
        if seed != str(self.world.settings.seed):
            self.admin.configure(seed=DEMO if seed == DEMO else int(seed) if seed else None)
        self.admin.reset()
        return f"Started over with {seed}." if seed else "Started over, empty."

    def file(self, form: Mapping[str, Any]) -> str:
        """Hold a file at its status, release it, or set its status."""
        stored, status = self.world.library.live_file(form["id"]), form["do"]
        if status == "release":
            self.admin.set_status(stored.id, None)
            return f"{stored.name} is released."
        held = status == "hold"
        status = stored.status(self.world.clock.time()) if held else status
        self.admin.set_status(stored.id, status)
        return f"{stored.name} {'is held at' if held else 'is now'} {status}."

    def job(self, form: Mapping[str, Any]) -> str:
        """Hold a bulk job, release it, or end it."""
        job, now = self.world.activities.activity(form["id"]), self.world.clock.time()
        match form["do"]:
            case "hold":
                job.hold(now)
                return f"The job {job.id} is held at {job.status(now)}."
            case "release":
                job.release()
                return f"The job {job.id} is released."
        job.end_as(form["do"], now)
        self.world.settle()
        return f"The job {job.id} has ended: {job.status(now)}."

    async def upload(self, files: list[UploadFile], folder_id: str) -> str:
        """Put files into the library, as an upload from a browser at the service does."""
        library, names = self.world.library, []
        limit = self.world.settings.max_upload_size
        for file in files:
            name = (file.filename or "").rpartition("/")[2]
            if not name:
                continue
            kind = name.rpartition(".")[2].upper()
            if kind not in IMAGE_TYPES | _DOCUMENT_TYPES:
                allowed = ", ".join(sorted(IMAGE_TYPES) + sorted(_DOCUMENT_TYPES))
                raise ValueError(f"{name}: the library accepts only {allowed}.")
            if len(name) > _LONGEST_NAME:
                raise ValueError(f"{name}: names have at most {_LONGEST_NAME} characters.")
            if not file.size or file.size > limit:
                raise ValueError(f"{name}: files have from 1 to {limit:,} bytes.")
            content = Content(self.world.settings.keep_content)
            while block := await file.read(_BLOCK):
                content.write(block)
            texts = {"file_name": name, "folder_id": folder_id, "description": ""}
            texts |= {"file_type": kind, "source": "MyComputer"}
            names.append(library.add_file(texts, content, self.world.clock.time()).name)
        if not names:
            raise ValueError("Choose a file first.")
        return f"Uploaded {', '.join(names[:3])}{' …' if len(names) > 3 else ''}."


def _number(form: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number of a form; None for an empty field."""
    text = str(form.get(name, "")).strip()
    return int(text) if text else None


_OF_SANDBOX = Actions.fault, Actions.clear_faults, Actions.configure, Actions.retire, Actions.reset
_OF_ACCOUNT = Actions.file, Actions.job
_ACTIONS = {form.__name__.replace("_", "-"): form for form in (*_OF_SANDBOX, *_OF_ACCOUNT)}


def sentence_of(problem: Exception) -> str:
    """Return what is wrong with a form."""
    if isinstance(problem, KeyError):
        return f"{problem.args[0]} is missing."
    return str(problem)
