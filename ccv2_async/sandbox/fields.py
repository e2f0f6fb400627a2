"""Fields of bodies and parameters: what is accepted, what is described, from one declaration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import attrs

from ccv2_async.sandbox.clock import read_stamp, utc_stamp
from ccv2_async.sandbox.problems import Refusal, absent_field, bad_field

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["string", "id", "integer", "number", "boolean", "datetime", "object", "array", "any"]

# The service's integers are Java's.
_LARGEST = 2**31 - 1
_SCHEMA_TYPES: dict[Kind, str] = {
    "string": "string",
    "id": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "datetime": "string",
    "object": "object",
    "array": "array",
}


@attrs.frozen
class Field:
    """One field of a JSON object, one part of a form, or one query parameter.

    Attributes:
        kind: What its value is. An `id` is text; one that is read only may be a number in an
            answer.
        required: It has to be sent.
        read_only: The service sets it; what a client sends is ignored.
        max_length: Characters at most.
        min_length: Characters at least.
        allowed: The values that are accepted; empty for any.
        any_case: Whether `allowed` is compared without case.
        pattern: A regular expression that text has to match from end to end.
        minimum: Least number; of an array, how many items at least.
        maximum: Greatest number; of an array, how many items at most.
        items: What an array holds.
        model: What an object is.
    """

    kind: Kind
    required: bool = False
    read_only: bool = False
    max_length: int | None = None
    min_length: int | None = None
    allowed: tuple[str, ...] = ()
    any_case: bool = False
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    items: Field | None = None
    model: Model | None = None

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a value; anything that need not be sent may be null."""
        schema = self._bare_schema()
        if not self.required and "type" in schema and "enum" not in schema:
            types = schema["type"]
            schema["type"] = [*([types] if isinstance(types, str) else types), "null"]
        elif not self.required and schema:
            schema = {"anyOf": [schema, {"type": "null"}]}
        return schema

    def _bare_schema(self) -> dict[str, Any]:
        if self.kind == "any":
            return {}
        if self.model is not None:
            return {"$ref": f"#/components/schemas/{self.model.name}"}
        types: Any = _SCHEMA_TYPES[self.kind]
        if self.kind == "id" and self.read_only:
            types = ["string", "integer"]
        exact = bool(self.allowed) and not self.any_case
        keywords = {
            "type": types,
            "items": self.items and attrs.evolve(self.items, required=True).schema(),
            "maxLength": self.max_length,
            "minLength": self.min_length,
            "pattern": self._pattern(),
            "format": "date-time" if self.kind == "datetime" else None,
            "enum": list(self.allowed) if exact else None,
            **self._bounds(),
            "readOnly": self.read_only or None,
        }
        return {name: value for name, value in keywords.items() if value is not None}

    def _bounds(self) -> dict[str, float | None]:
        if self.kind == "array":
            return {"minItems": self.minimum, "maxItems": self.maximum}
        return {"minimum": self.minimum, "maximum": self.maximum}

    def _pattern(self) -> str | None:
        if self.allowed and self.any_case:
            letters = "|".join(
                "".join(f"[{letter.upper()}{letter.lower()}]" for letter in value)
                for value in self.allowed
            )
            return f"^({letters})$"
        return None if self.pattern is None else f"^{self.pattern}$"

    def read(self, name: str, value: Any) -> Any:
        """The value, checked and made uniform; `name` is what an error calls it."""
        reader = _READERS[self.kind]
        return reader(self, name, value)


@attrs.frozen
class Model:
    """A JSON object with named fields. Fields that it does not name are ignored.

    Attributes:
        name: Its name in the OpenAPI document.
        fields: Its fields by name.
    """

    name: str
    fields: Mapping[str, Field] = attrs.field(factory=dict, eq=False)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the object."""
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {name: field.schema() for name, field in self.fields.items()},
        }
        required = [name for name, field in self.fields.items() if field.required]
        if required:
            schema["required"] = required
        return schema

    def read(self, value: Any, where: str = "body") -> dict[str, Any]:
        """The fields that a client may set; a null counts as not sent."""
        if not isinstance(value, dict):
            raise bad_field(where, "an object is expected.")
        found: dict[str, Any] = {}
        for name, field in self.fields.items():
            given = value.get(name)
            if field.read_only:
                continue
            if given is None or (given == "" and field.kind == "datetime"):
                if field.required:
                    raise absent_field(name)
                continue
            found[name] = field.read(name, given)
        return found


def words(text: str) -> tuple[str, ...]:
    """Return the words that a field allows, from text in which blanks separate them."""
    return tuple(text.split())


def fields(
    kind: Kind, names: str, *, required: bool = False, read_only: bool = False
) -> dict[str, Field]:
    """Return one field of a kind for each of the names, which blanks separate."""
    return dict.fromkeys(names.split(), Field(kind, required=required, read_only=read_only))


def check_id_types(field: Field, value: Any, path: str = "#") -> None:
    """Refuse a body in which an id is not text, as the service does before anything else.

    Args:
        field: What the body is.
        value: The body.
        path: Where the value is in the body, as the service writes it: `#/lists/0/id`.
    """
    if field.read_only or value is None:
        return
    is_id = field.kind == "id" or (
        # An id, or an object with one.
        field.kind == "any" and field.model is not None and not isinstance(value, dict)
    )
    if is_id and not isinstance(value, str):
        raise Refusal(
            400,
            f"{path}: Value is of a disallowed type. Allowed types are: String",
            "json.type.invalid",
        )
    if field.items is not None and isinstance(value, list):
        for index, item in enumerate(value):
            check_id_types(field.items, item, f"{path}/{index}")
    if field.model is not None and isinstance(value, dict):
        for name, inner in field.model.fields.items():
            check_id_types(inner, value.get(name), f"{path}/{name}")


def _read_text(field: Field, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise bad_field(name, "text is expected.")
    if field.max_length is not None and len(value) > field.max_length:
        raise bad_field(name, f"at most {field.max_length} characters are accepted.")
    if field.min_length is not None and len(value.strip()) < field.min_length:
        raise bad_field(name, "it must not be empty.")
    if field.pattern is not None and not re.fullmatch(field.pattern, value):
        raise bad_field(name, f"text of the form {field.pattern} is expected.")
    if not field.allowed or value in field.allowed:
        return value
    known = {allowed.casefold(): allowed for allowed in field.allowed if field.any_case}
    if value.casefold() not in known:
        raise bad_field(name, f"one of {', '.join(field.allowed)} is expected.")
    return known[value.casefold()]


def _read_moment(_field: Field, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise bad_field(name, "a date is expected.")
    try:
        moment = read_stamp(value)
    except ValueError:
        raise bad_field(name, "an ISO-8601 date and time is expected.") from None
    return utc_stamp(moment)


def _read_number(field: Field, name: str, value: Any) -> float:
    whole = field.kind == "integer"
    if whole and isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise bad_field(name, "a number is expected.")
    if whole and abs(value) > _LARGEST:
        raise bad_field(name, "a smaller number is expected.")
    number = value
    if field.minimum is not None and number < field.minimum:
        raise bad_field(name, f"at least {field.minimum} is expected.")
    if field.maximum is not None and number > field.maximum:
        raise bad_field(name, f"at most {field.maximum} is expected.")
    return number if whole else float(number)


def _read_boolean(_field: Field, name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise bad_field(name, "true or false is expected.")
    return value


def _read_object(field: Field, name: str, value: Any) -> dict[str, Any]:
    if field.model is not None:
        return field.model.read(value, name)
    if not isinstance(value, dict):
        raise bad_field(name, "an object is expected.")
    return value


def _read_array(field: Field, name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise bad_field(name, "an array is expected.")
    if field.minimum is not None and len(value) < field.minimum:
        raise bad_field(name, f"at least {field.minimum:g} are expected.")
    if field.maximum is not None and len(value) > field.maximum:
        raise bad_field(name, f"at most {field.maximum:g} are expected.")
    if field.items is None:
        return value
    return [field.items.read(name, item) for item in value]


def _read_any(_field: Field, _name: str, value: Any) -> Any:
    return value


_READERS = {
    "string": _read_text,
    "id": _read_text,
    "datetime": _read_moment,
    "integer": _read_number,
    "number": _read_number,
    "boolean": _read_boolean,
    "object": _read_object,
    "array": _read_array,
    "any": _read_any,
}
