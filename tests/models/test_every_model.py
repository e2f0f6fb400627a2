"""Rules that hold for every model."""

from __future__ import annotations

import importlib
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping  # noqa: TC003  # read at run time by the converter
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccv2_async import models
from ccv2_async.errors import DecodeError, InvalidField
from ccv2_async.models import FileStatus, Page, Rule, decode, encode, hooks, structure, unstructure

EXPORTED = [getattr(models, name) for name in models.__all__]
MODELS: list[type[Any]] = [
    cls for cls in EXPORTED if isinstance(cls, type) and attrs.has(cls) and cls not in {Page, Rule}
]
ENUMS: list[type[StrEnum]] = [
    cls for cls in EXPORTED if isinstance(cls, type) and issubclass(cls, StrEnum)
]
AREAS = [
    "account", "activities", "base", "campaigns", "contacts", "convert", "event_sales", "events",
    "library", "registrants", "tracking", "validation",
]  # fmt: skip

moments = st.integers(0, 250_000_000_000_000).map(
    lambda ms: datetime(1972, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
words = st.text(st.characters(codec="utf-8"), max_size=12)
SCALARS: dict[type[Any], st.SearchStrategy[Any]] = {
    str: words,
    int: st.integers(-(2**53), 2**53),
    float: st.floats(-1e15, 1e15),
    bool: st.booleans(),
    datetime: moments,
    object: words,
}


def values(s: hooks.Shape, depth: int) -> st.SearchStrategy[Any]:
    one = SCALARS.get(s.kind)
    if one is None and issubclass(s.kind, StrEnum):
        one = st.sampled_from(s.kind) | st.just("NEW_WORD")
    if one is None:
        if not depth:
            return st.just(() if s.many else None)
        one = instances(s.kind, depth - 1)
        one = one | words if s.text_too else one
    if s.many:
        return st.lists(one, max_size=2).map(tuple)
    return st.none() | one if s.optional else one


def instances(model: type[Any], depth: int = 3) -> st.SearchStrategy[Any]:
    return st.builds(
        model,
        **{name: values(s, depth) for name, s in hooks.shapes(model).items()},
        extra=st.dictionaries(st.sampled_from(["x_new", "x_other"]), st.none() | words),
    )


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=15)
@given(st.data())
def test_every_model_round_trips(model: type[Any], data: st.DataObject) -> None:
    value = data.draw(instances(model))
    again = decode(model, encode(value))
    assert again == value
    assert encode(again) == encode(value)
    assert model.from_dict(value.to_dict()) == value
    assert json.loads(value.to_json()) == value.to_dict()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_accepts_a_list_for_a_tuple(model: type[Any]) -> None:
    many = [name for name, s in hooks.shapes(model).items() if s.many]
    needed = {a.name: None for a in attrs.fields(model) if a.default is attrs.NOTHING}
    value = model(**needed | {name: [] for name in many})
    assert [getattr(value, name) for name in many] == [()] * len(many)


def test_a_value_that_does_not_fit_is_named_when_a_model_is_written() -> None:
    wrong = models.ContactList("1", created_date=cast("Any", "yesterday"))
    with pytest.raises(InvalidField, match=r"ContactList is .*its values must fit"):
        wrong.to_dict()
    with pytest.raises(InvalidField, match="time zone"):
        models.ContactList("1", created_date=datetime(2024, 1, 1)).to_json()  # noqa: DTZ001
    with pytest.raises(DecodeError, match=r"id of .* is missing"):
        models.ContactList.from_dict({"name": "x"})
    with pytest.raises(DecodeError, match="not an object"):
        models.ContactList.from_dict(cast("Any", ["1"]))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_keeps_unknown_fields(model: type[Any]) -> None:
    required = {
        name: ["x"] if s.many else 1 if s.kind is int else "x"
        for name, s in hooks.shapes(model).items()
        if attrs.fields_dict(model)[name].default is attrs.NOTHING and s.kind in {str, int}
    }
    required |= {
        name: []
        for name, s in hooks.shapes(model).items()
        if attrs.fields_dict(model)[name].default is attrs.NOTHING and name not in required
    }
    for name, s in hooks.shapes(model).items():
        if required.get(name) == [] and not s.many:
            required[name] = "x" if issubclass(s.kind, StrEnum) else sample(s)
    value = structure(model, required | {"x_new": {"a": [1]}})
    assert value.extra == {"x_new": {"a": [1]}}
    assert unstructure(value)["x_new"] == {"a": [1]}


def sample(s: hooks.Shape) -> Any:
    return {
        datetime: "2020-01-01T00:00:00.000Z", float: 1.5, bool: True,
    }.get(s.kind, {})  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_is_documented_and_extra_stays_out_of_repr_and_hash(model: type[Any]) -> None:
    lines = (model.__doc__ or "").splitlines()
    for field in attrs.fields(model):
        assert any(line.strip().startswith(f"{field.name}:") for line in lines), field.name
    extra = attrs.fields_dict(model)["extra"]
    assert (extra.repr, extra.hash, extra.kw_only) == (False, False, True)


@attrs.frozen
class Odd:
    """A model with a slot for weak references, unlike the others, and a field of any JSON."""

    id: str
    raw: Any = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


def test_a_subclass_with_another_layout_is_decoded() -> None:
    assert structure(Odd, {"id": "4", "new": 1}) == Odd("4", None, {"new": 1})


def test_pass_through_json_is_kept_unchanged() -> None:
    odd = structure(Odd, {"id": FileStatus.ACTIVE, "raw": {"a": [None, 1.5]}})
    assert odd == Odd("Active", {"a": [None, 1.5]})
    assert unstructure(odd) == {"id": "Active", "raw": {"a": [None, 1.5]}}
    assert structure(list[bool], [True, False]) == [True, False]


@pytest.mark.parametrize("members", ENUMS, ids=lambda members: members.__name__)
def test_every_enum_value_is_recognized_in_any_case(members: type[StrEnum]) -> None:
    for member in members:
        for word in (member.value, member.value.lower(), member.value.upper()):
            assert structure(members, word) is member
    assert structure(members, "NEW_WORD") == cast("Any", "NEW_WORD")


@pytest.mark.parametrize("area", AREAS)
def test_every_model_can_be_imported_from_the_models_package(area: str) -> None:
    module = importlib.import_module(f"ccv2_async.models.{area}")
    for name in module.__all__:
        assert getattr(models, name) is getattr(module, name)
        assert name in models.__all__
        assert name in dir(models)


def test_an_unknown_model_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchModel"):
        models.NoSuchModel  # type: ignore[attr-defined]  # noqa: B018  # the point of the test


def test_listing_the_names_imports_neither_models_nor_converter() -> None:
    # The package itself is left out: what it imports is not this floor's concern.
    code = (
        "import sys, types;"
        "package = types.ModuleType('ccv2_async');"
        f"package.__path__ = [{str(Path(models.__file__).parents[1])!r}];"
        "sys.modules['ccv2_async'] = package;"
        "import ccv2_async.models;"
        "print([m for m in sys.modules if m.split('.')[0] in ('attrs', 'cattrs', 'orjson')"
        " or m.startswith('ccv2_async.models.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)  # noqa: S603  # our own code
    assert done.stdout.strip() == b"[]"


def test_secrets_stay_out_of_repr() -> None:
    token = structure(
        models.AccessToken, {"access_token": "s3cret", "token_type": "Bearer", "expires_in": "300"}
    )
    info = structure(models.TokenInfo, {"client_id": "s3cret", "user_name": "me"})
    assert "s3cret" not in repr(token) + repr(info)
    assert token.expires_in == 300


def test_models_survive_pickling() -> None:
    activity = decode(
        models.Activity, b'{"id":"a","errors":["Line 2: x",{"message":"y"}],"new":[1]}'
    )
    assert pickle.loads(pickle.dumps(activity)) == activity  # noqa: S301  # our own bytes


def test_requests_leave_out_empty_collections_and_resources_do_not() -> None:
    contact = models.ContactWrite(
        (models.EmailAddress("a@example.com"),), (models.ContactListRef("4"),)
    )
    assert json.loads(encode(contact)) == {
        "email_addresses": [{"email_address": "a@example.com"}],
        "lists": [{"id": "4"}],
    }
    assert json.loads(encode(models.AddContactsRequest((), ("4",)))) == {
        "import_data": [],
        "lists": ["4"],
        "column_names": [],
    }
    assert json.loads(encode(structure(models.Contact, {"id": "1"})))["notes"] == []
