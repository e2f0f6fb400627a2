from __future__ import annotations

import contextlib
import math
from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async.sandbox.clock import offset_stamp, read_stamp, utc_stamp
from ccv2_async.sandbox.fields import MODELS, Field, Model, check_id_types, define, describe
from ccv2_async.sandbox.operations import read_cursor, write_cursor
from ccv2_async.sandbox.responses import Refusal

if TYPE_CHECKING:
    from datetime import datetime


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_timestamp_round_trips(moment: datetime) -> None:
    written = utc_stamp(moment.timestamp())
    assert written.endswith("Z")
    assert len(written) == 24
    assert math.isclose(read_stamp(written), moment.timestamp(), abs_tol=0.002)


@given(st.integers(0, 2**33))
def test_library_dates_have_an_offset(moment: int) -> None:
    assert read_stamp(offset_stamp(moment)) == read_stamp(utc_stamp(moment)) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2018-06-04T13:07:30.00Z", 1528117650.0),
        ("2018-06-04T13:07:30", 1528117650.0),
        ("2018-06-04T09:07:30.500-04:00", 1528117650.5),
    ],
)
def test_dates_are_parsed_in_the_forms_that_clients_send(text: str, moment: float) -> None:
    assert read_stamp(text) == moment


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"id": 7}, "#/id"),
        ({"id": "7", "lists": [{"id": "1"}, {"id": 2}]}, "#/lists/1/id"),
        ({"id": "7", "fee_ids": ["1", 2.0]}, "#/fee_ids/1"),
        ({"id": True}, "#/id"),
    ],
)
def test_an_id_that_is_not_text_is_refused_with_its_path(body: Any, path: str) -> None:
    listed = Field("object", model=Model("Ref", id=Field("id", required=True)))
    model = Model(
        "Whole",
        id=Field("id"),
        list_id=Field("id", read_only=True),
        lists=Field("array", items=listed),
        fee_ids=Field("array", items=Field("id")),
    )
    field = Field("object", model=model)
    with pytest.raises(Refusal) as caught:
        check_id_types(field, {"list_id": 9, **body})
    assert (caught.value.status, caught.value.key) == (400, "json.type.invalid")
    assert caught.value.message == (
        f"{path}: Value is of a disallowed type. Allowed types are: String"
    )
    check_id_types(field, {"id": "7", "list_id": 9, "lists": None})


@pytest.mark.parametrize(
    ("field", "given_value", "read"),
    [
        (Field("id"), "7", "7"),
        (Field("integer"), 7.0, 7),
        (Field("number"), 7, 7.0),
        (Field("string", allowed=("MyComputer",), any_case=True), "MYCOMPUTER", "MyComputer"),
        (Field("any"), [1], [1]),
        (Field("object"), {"a": 1}, {"a": 1}),
        (Field("array"), [1, "a"], [1, "a"]),
    ],
)
def test_values_are_normalized(field: Field, given_value: Any, read: Any) -> None:
    found = field.read("x", given_value)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field("id"), 7.5),
        (Field("id"), True),
        (Field("string"), 7),
        (Field("string", max_length=2), "abc"),
        (Field("string", min_length=1), " "),
        (Field("string", pattern="[a-z]+"), "abc1"),
        (Field("string", allowed=("A",)), "a"),
        (Field("integer"), 7.5),
        (Field("integer"), 1e30),
        (Field("integer"), -(2**31)),
        (Field("integer", minimum=1), 0),
        (Field("number", maximum=1), 1.5),
        (Field("number"), "1"),
        (Field("boolean"), 1),
        (Field("datetime"), 5),
        (Field("datetime"), ""),
        (Field("datetime"), "soon"),
        (Field("datetime"), "0001-01-01T00:00:00+14:00"),
        (Field("datetime"), "2018-13-01T00:00:00Z"),
        (Field("object"), []),
        (Field("array"), {}),
        (Field("array", minimum=1), []),
        (Field("array", maximum=1), [1, 2]),
        (Field("array", items=Field("integer")), [1, "2"]),
    ],
)
def test_invalid_values_are_refused_by_name(field: Field, value: Any) -> None:
    with pytest.raises(Refusal, match=r"^x: ") as caught:
        field.read("x", value)
    assert (caught.value.status, caught.value.key) == (400, "json.field.x.value.invalid")


def test_a_schema_accepts_only_writable_fields() -> None:
    model = Model(
        "Thing",
        id=Field("id", read_only=True),
        name=Field("string", required=True),
        date=Field("datetime"),
    )
    sent = {"id": [], "name": "x", "date": "", "unknown": 1}
    assert model.read(sent) == {"name": "x"}
    with pytest.raises(Refusal, match="name is required"):
        model.read({"name": None})


@given(st.integers(0, 10**9), st.dictionaries(st.sampled_from("abc"), st.text()))
def test_a_cursor_round_trips(offset: int, query: dict[str, str]) -> None:
    cursor = write_cursor(offset, query)
    assert read_cursor(cursor) == (offset, query)
    assert "=" not in cursor


@given(st.text())
def test_any_text_is_refused_or_a_valid_cursor(cursor: str) -> None:
    with contextlib.suppress(Refusal):
        offset, _ = read_cursor(cursor)
        assert offset >= 0


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("name", Field("string")),
        ("name!>=1<=80", Field("string", required=True, min_length=1, max_length=80)),
        ("code!/[a-z]{2}/", Field("string", required=True, pattern="[a-z]{2}")),
        ("name-:id", Field("id", read_only=True)),
        ("price:float>=0.01", Field("number", minimum=0.01)),
        ("limit:int>=1<=50=50", Field("integer", minimum=1, maximum=50, default=50)),
        ("all:bool=false", Field("boolean", default=False)),
        ("op!:|REPLACE", Field("string", required=True, allowed=("REPLACE",))),
        ("source:A|B~=A", Field("string", allowed=("A", "B"), any_case=True, default="A")),
        ("ids!:id[]>=1<=5", Field("array", items=Field("id"), required=True, minimum=1, maximum=5)),
    ],
)
def test_a_field_is_described_in_text(text: str, field: Field) -> None:
    assert list(describe(text).values()) == [field]


def test_models_are_described_in_text() -> None:
    define(
        """
        TestRef: id!:id
        TestWhole: id!-:id name kind:A|
            B refs:TestRef[] owner:id|TestRef
        TestWholeWrite < TestWhole: name!
        """
    )
    ref, whole, write = (MODELS.pop(f"Test{name}") for name in ("Ref", "Whole", "WholeWrite"))
    assert whole.fields["kind"].allowed == ("A", "B")
    assert whole.fields["refs"].items == Field("object", model=ref)
    assert whole.fields["owner"] == Field("any", model=ref)
    assert list(write.fields) == ["name", "kind", "refs", "owner"]
    assert write.fields["name"].required


def test_text_that_describes_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match="'name!!' does not describe a field"):
        describe("name!!")


@pytest.mark.parametrize("text", ["size:integre", "rows:Nothing[]", "owner:id|Nothing"])
def test_a_field_of_an_unknown_kind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a type, and no model of this name"):
        describe(text)
