"""Fields of bodies and parameters, each declared once for validation and for documentation.

`define` reads models from text, `describe` the fields of one model or the parameters of a query::

    Item: id!-:id name price:float attributes-:ItemAttribute[]
    ItemWrite < Item: name!<=100 price!:float>=0

A line that is not indented begins a model. `ItemWrite < Item` takes the fields that a client sets
from another model, and changes some. A field is a name and these suffixes, in this order:

==============  ==============================================================================
``!``           required
``-``           read-only: the service sets it
``:type``       `id`, `int`, `float`, `bool`, `date`, `email`, a model, words as in `:HTML|XHTML`
                and `:|CSV`, `id|Item` for an ID or an object with one, `text|Item`, or `int|id` for
                an ID that responses write as a number or as text; without it, text
``~``           the case of the words does not matter
``[]``          an array of them
``/pattern/``   a regular expression for the whole text
``>=1 <=9``     minimum and maximum: of characters, of entries, or of a number
``=value``      the value of a parameter that is not sent
==============  ==============================================================================
"""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Any, Literal, cast, get_args

import attrs

from ccv2_async.sandbox.clock import read_stamp, utc_stamp
from ccv2_async.sandbox.responses import Refusal, absent_field, bad_field

_Text = Literal["string", "id", "email", "datetime"]
FieldType = Literal[_Text, "integer", "number", "boolean", "object", "array", "any"]

ADDRESS_LENGTH = 80
"""The largest number of characters of an email address."""

# The service's integers are Java's.
_LARGEST = 2**31 - 1
# Each type in JSON Schema and in Python, and what an error calls its values.
_TYPES: dict[FieldType, tuple[str, Any, str]] = {
    "string": ("string", str, "text"),
    "id": ("string", str, "text"),
    "email": ("string", str, "text"),
    "integer": ("integer", int, "a number"),
    "number": ("number", int | float, "a number"),
    "boolean": ("boolean", bool, "true or false"),
    "datetime": ("string", str, "a date"),
    "object": ("object", dict, "an object"),
    "array": ("array", list, "an array"),
}
# The other checks, in the form of JSON Schema.
_FORMATS: dict[FieldType, dict[str, Any]] = {
    "datetime": {"format": "date-time"},
    "email": {"format": "email", "maxLength": ADDRESS_LENGTH},
    "integer": {"format": "int32"},
}


@attrs.frozen
class Field:
    """One field of a JSON object, one part of a form, or one query parameter.

    Attributes:
        type: The type of its value. An `id` is text. `any` is `model` or text if it has a
            model, and otherwise a number or text.
        required: Whether it must be sent.
        read_only: Whether the service sets it and ignores what a client sends.
        max_length: The maximum number of characters.
        min_length: The minimum number of characters.
        allowed: The values that are accepted; empty for any.
        any_case: Whether case is ignored when `allowed` is compared.
        pattern: A regular expression that the whole text must match.
        minimum: The smallest number; for an array, the smallest number of items.
        maximum: The largest number; for an array, the largest number of items.
        items: The items of an array.
        model: The fields of an object.
        default: The value of a query parameter that is not sent.
    """

    type: FieldType
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
    default: Any = None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of a value. A field that is not required may be null."""
        schema = self._bare_schema()
        if not self.required and "type" in schema and "enum" not in schema:
            schema["type"] = [schema["type"], "null"]
        elif not self.required:
            schema = {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}
        return schema

    def _bare_schema(self) -> dict[str, Any]:
        if self.type == "any":
            other = {"type": "integer"} if self.model is None else self.model.reference()
            return {"anyOf": [other, {"type": "string"}]}
        if self.model is not None:
            return self.model.reference()
        least, most = ("minItems", "maxItems") if self.type == "array" else ("minimum", "maximum")
        keywords = {
            "type": _TYPES[self.type][0],
            **_FORMATS.get(self.type, {}),
            "items": self.items and attrs.evolve(self.items, required=True).schema(),
            **({} if self.max_length is None else {"maxLength": self.max_length}),
            "minLength": self.min_length,
            "pattern": self._pattern(),
            "enum": list(self.allowed) if self.allowed and not self.any_case else None,
            least: self.minimum,
            most: self.maximum,
            "readOnly": self.read_only or None,
        }
        return {name: value for name, value in keywords.items() if value is not None}

    def _pattern(self) -> str | None:
        if self.allowed and self.any_case:
            letters = "|".join(
                "".join(f"[{letter.upper()}{letter.lower()}]" for letter in value)
                for value in self.allowed
            )
            return f"^({letters})$"
        if self.pattern is None and self.min_length is not None:
            return r"\S"  # spaces do not count
        return None if self.pattern is None else f"^{self.pattern}$"

    def read(self, name: str, value: Any) -> Any:
        """Return the checked, normalized value, or raise a 400 that names the field."""
        if self.type == "any":
            return value
        if self.type == "integer" and isinstance(value, float) and value.is_integer():
            value = int(value)
        _, types, wanted = _TYPES[self.type]
        if (isinstance(value, bool) and self.type != "boolean") or not isinstance(value, types):
            raise bad_field(name, f"{wanted} is expected.")
        if self.type == "datetime":
            return _read_date(name, value)
        if self.type == "object":
            return value if self.model is None else self.model.read(value, name)
        if self.type in get_args(_Text):
            return self._read_text(name, value)
        self._check_bounds(name, value)
        if self.items is not None:
            return [self.items.read(name, item) for item in value]
        return float(value) if self.type == "number" else value

    def _read_text(self, name: str, value: str) -> str:
        if self.max_length is not None and len(value) > self.max_length:
            raise bad_field(name, f"at most {self.max_length} characters are accepted.")
        if self.min_length is not None and len(value.strip()) < self.min_length:
            raise bad_field(name, "it must not be empty.")
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise bad_field(name, f"text of the form {self.pattern} is expected.")
        if not self.allowed or value in self.allowed:
            return value
        known = {allowed.casefold(): allowed for allowed in self.allowed if self.any_case}
        if value.casefold() not in known:
            raise bad_field(name, f"one of {', '.join(self.allowed)} is expected.")
        return known[value.casefold()]

    def _check_bounds(self, name: str, value: Any) -> None:
        amount, of = (len(value), " length") if self.type == "array" else (value, "")
        if self.type == "integer" and abs(amount) > _LARGEST:
            raise bad_field(name, "a smaller number is expected.")
        if self.minimum is not None and amount < self.minimum:
            raise bad_field(name, f"the minimum{of} is {self.minimum:g}.")
        if self.maximum is not None and amount > self.maximum:
            raise bad_field(name, f"the maximum{of} is {self.maximum:g}.")


class Model:
    """A JSON object with named fields. Fields that it does not name are ignored.

    Args:
        name: Its name in the OpenAPI document.
        fields: Its fields by name.
    """

    def __init__(self, name: str, /, **fields: Field) -> None:
        self.name: str = name
        self.fields: dict[str, Field] = fields

    def writable(self, name: str, changed: str) -> Model:
        """Return the model of a request: the fields that are not read-only, some changed."""
        kept = {name: field for name, field in self.fields.items() if not field.read_only}
        return Model(name, **kept | describe(changed))

    def reference(self) -> dict[str, Any]:
        """Return the JSON Schema that refers to that of the object."""
        return {"$ref": f"#/components/schemas/{self.name}"}

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the object."""
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {name: field.schema() for name, field in self.fields.items()},
        }
        if required := [name for name, field in self.fields.items() if field.required]:
            schema["required"] = required
        return schema

    def read(self, value: dict[str, Any], where: str = "body") -> dict[str, Any]:
        """Return the fields that a client may set. A null counts as not sent."""
        if not isinstance(value, dict):
            raise bad_field(where, "an object is expected.")
        found: dict[str, Any] = {}
        for name, field in self.fields.items():
            given = value.get(name)
            if field.read_only:
                continue
            if given is None or (given == "" and field.type == "datetime"):
                if field.required:
                    raise absent_field(name)
                continue
            found[name] = field.read(name, given)
        return found


MODELS: dict[str, Model] = {}
"""The models that `define` has read, by name."""

_TYPE_WORDS = {word: word for word in get_args(FieldType)}
_TYPE_WORDS |= {"int": "integer", "float": "number", "bool": "boolean", "date": "datetime"}
_FIELD = re.compile(
    r"(?P<name>\w+)(?P<required>!?)(?P<read_only>-?)(:(?P<word>[^~<>=\[\]]+?))?(?P<any_case>~?)"
    r"(?P<many>\[\])?(/(?P<pattern>.+)/)?(>=(?P<least>[-.\d]+))?(<=(?P<most>[-.\d]+))?"
    r"(=(?P<default>.+))?"
)


def model_of(name: str) -> Model:
    """Return the model of this name."""
    if name not in MODELS:
        raise ValueError(f"{name!r} is not a type, and no model of this name is defined above.")
    return MODELS[name]


def define(text: str) -> None:
    """Add the models that the text describes to `MODELS`; see the module for its form."""
    for block in re.split(r"\n(?=\w)", cleandoc(text)):
        head, _, body = block.partition(":")
        name, _, base = head.partition(" < ")
        made = MODELS[name] = model_of(base).writable(name, "") if base else Model(name)
        made.fields |= describe(body)  # they may name the model itself


def describe(text: str) -> dict[str, Field]:
    """Return the fields that the text describes, by name; see the module for its form."""
    return dict(map(_described, re.sub(r"\|\n\s*", "|", text).split()))


def _described(text: str) -> tuple[str, Field]:
    if (found := _FIELD.fullmatch(text)) is None:
        raise ValueError(f"{text!r} does not describe a field.")
    word, many, least, most = found.group("word", "many", "least", "most")
    field = attrs.evolve(
        _of_type(word or "string"), pattern=found["pattern"], any_case=bool(found["any_case"])
    )
    if many:
        field = Field("array", items=field)
    is_text = field.type in get_args(_Text)
    bounds = ("min_length", "max_length") if is_text else ("minimum", "maximum")
    limits = {
        name: float(bound) if "." in bound else int(bound)
        for name, bound in zip(bounds, (least, most), strict=True)
        if bound is not None
    }
    default: Any = found["default"]
    if field.type in ("integer", "boolean") and default is not None:
        default = int(default) if default.isdecimal() else default == "true"
    required, read_only = bool(found["required"]), bool(found["read_only"])
    more: Any = {"required": required, "read_only": read_only, "default": default, **limits}
    return found["name"], attrs.evolve(field, **more)


def _of_type(word: str) -> Field:
    if word in _TYPE_WORDS:
        return Field(cast("FieldType", _TYPE_WORDS[word]))
    if word == "int|id":
        return Field("any")
    if word.startswith(("id|", "text|")):
        return Field("any", model=model_of(word.partition("|")[2]))
    if "|" in word:
        return Field("string", allowed=tuple(filter(None, word.split("|"))))
    return Field("object", model=model_of(word))


def check_id_types(field: Field, value: Any, path: str = "#") -> None:
    """Refuse a body in which an ID is not a string, as the service does before anything else.

    Args:
        field: The description of the body.
        value: The body.
        path: The place of the value in the body, as the service writes it: `#/lists/0/id`.
    """
    if field.read_only or value is None:
        return
    is_id = field.type == "id" or (
        # An ID, or an object with one.
        field.type == "any" and field.model is not None and not isinstance(value, dict)
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


def _read_date(name: str, value: str) -> str:
    try:
        return utc_stamp(read_stamp(value))
    except ValueError:
        raise bad_field(name, "an ISO-8601 date and time is expected.") from None
