"""The controls of the page: the actions of its forms, each through the sandbox's admin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs
import orjson
from starlette.datastructures import UploadFile

from ccv2_async.sandbox.fields import MODELS
from ccv2_async.sandbox.forms import Content
from ccv2_async.sandbox.settings import DEMO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ccv2_async.sandbox.admin import Admin
    from ccv2_async.sandbox.world import World

_MOST_NAMES = 3


@attrs.frozen
class Actions:
    """The forms' actions. Each returns a sentence.

    Attributes:
        world: The state of the sandbox.
        admin: Its admin, called in its own thread.

    Raises:
        KeyError: A field is missing.
        ValueError: A field has a wrong value.
        Refusal: The object does not exist.
    """

    world: World
    admin: Admin

    def fault(self, form: Mapping[str, Any]) -> str:
        """Arm a fault for the next calls of an operation."""
        operation = _starred(str(form.get("operation", "")))
        method, _, path = operation.partition(" ")
        times = _number(form, "times")
        seconds = float(form.get("seconds") or 0)
        self.admin.fault(form["kind"], method or None, path or "*", times=times, seconds=seconds)
        calls = {None: "every call", 1: "the next call"}.get(times, f"the next {times} calls")
        return f"{form['kind']} will apply to {calls} of {operation or 'the API'}."

    def disarm(self, form: Mapping[str, Any]) -> str:
        """Disarm one fault."""
        self.admin.disarm(form["id"])
        return "The fault is disarmed."

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
        return "The settings were changed. Jobs that have already started keep their speed."

    def retire(self, form: Mapping[str, Any]) -> str:
        """Withdraw a group of operations, or a single one."""
        name = _starred(form["name"])
        self.admin.configure(retired=sorted({name, *self.world.settings.retired}))
        return f"{name} is retired: calls get 400."

    def restore(self, form: Mapping[str, Any]) -> str:
        """Bring back what was retired."""
        self.admin.configure(retired=sorted({*self.world.settings.retired} - {form["name"]}))
        return f"{form['name']} is no longer retired."

    def reset(self, form: Mapping[str, Any]) -> str:
        """Start over with a saved state, or a seed: `demo`, a number, or nothing."""
        file = form.get("saved")
        content = file.file.read() if isinstance(file, UploadFile) else b""
        if content:
            saved = orjson.loads(content)
            if not isinstance(saved, dict):
                raise ValueError("The file does not contain a saved account.")
            self.admin.load(saved)
            return "Started over with the saved account."
        seed = str(form.get("seed", "")).strip()
        if seed != str(self.world.settings.seed):
            self.admin.configure(seed=DEMO if seed == DEMO else int(seed) if seed else None)
        self.admin.reset()
        return f"Started over with {seed}." if seed else "Started over with an empty account."

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

    def upload(self, form: Any) -> str:
        """Put files into the library, like an upload on the service's website.

        Raises:
            ValueError: Some files were refused; the message names them. The others are stored.
        """
        library, names = self.world.library, list[str]()
        refused: dict[str, list[str]] = {}
        for file in form.getlist("data"):
            if not isinstance(file, UploadFile) or not file.filename:
                continue
            name = file.filename.rpartition("/")[2]
            kind = name.rpartition(".")[2].upper()
            if (problem := self._problem(name, kind, file.size or 0)) is not None:
                refused.setdefault(problem, []).append(name)
                continue
            content = Content(self.world.settings.keep_content)
            content.write(file.file.read())
            texts = {"file_name": name, "folder_id": form["folder_id"], "description": ""}
            texts |= {"file_type": kind, "source": "MyComputer"}
            names.append(library.add_file(texts, content, self.world.clock.time()).name)
        if not names and not refused:
            raise ValueError("Choose a file first.")
        done = f"Uploaded {_first(names)}." if names else ""
        if refused:
            problems = (f"{_first(bad)}: {problem}." for problem, bad in refused.items())
            raise ValueError(" ".join(filter(None, (done, "Not uploaded:", *problems))))
        return done

    def _problem(self, name: str, kind: str, size: int) -> str | None:
        """Return why the library refuses a file; None if it does not."""
        limit, fields = self.world.settings.max_upload_size, MODELS["Upload"].fields
        types, longest = fields["file_type"].allowed, fields["file_name"].max_length or 0
        if kind not in types:
            return f"the library accepts only {', '.join(types)}"
        if len(name) > longest:
            return f"names have at most {longest} characters"
        return None if 0 < size <= limit else f"files have from 1 to {limit:,} bytes"


def _starred(operation: str) -> str:
    """Return an operation with a star for each parameter of its path."""
    return re.sub(r"{\w+}", "*", operation)


def _first(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f", and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _number(form: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number of a form; None for an empty field."""
    text = str(form.get(name, "")).strip()
    return int(text) if text else None


_NAMES = "fault disarm clear-faults configure retire restore reset file job upload"
ACTIONS: dict[str, Callable[[Actions, Any], str]] = {
    name: getattr(Actions, name.replace("-", "_")) for name in _NAMES.split()
}
"""The actions by the last word of a form's path."""
