"""Where documentation, samples, and SDKs disagree: each test names its row of the reference."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccv2_async import errors
from ccv2_async.models import (
    ACTIVITY_OUTCOMES,
    Activity,
    ActivityError,
    ActivityStatus,
    Campaign,
    CampaignSummary,
    Contact,
    ContactList,
    ContactListRef,
    ContactListStatus,
    ContactListWrite,
    CurrencyType,
    CustomField,
    ErrorItem,
    Event,
    EventStatus,
    EventStatusPatch,
    ExportContactsRequest,
    Fee,
    FeeScope,
    FeeWrite,
    FileSortOrder,
    FileSource,
    FileType,
    FileTypeQuery,
    FileUploadStatus,
    FolderSortOrder,
    Guest,
    ImportCustomField,
    Item,
    ItemAttribute,
    LibraryFile,
    LibraryFileUpdate,
    LibraryFolder,
    LibraryInfo,
    OpenActivity,
    Outcome,
    RegistrantDetail,
    Schedule,
    TestSend,
    Thumbnail,
    UsageSummary,
    VerifiedEmailAddress,
    VerifiedEmailStatus,
    activity_outcome,
    check,
    decode,
    encode,
    structure,
    unstructure,
)

FILE: dict[str, Any] = {"id": "4", "name": "menu.pdf"}


def test_row_1_a_folder_id_is_any_text() -> None:
    for folder_id in ("-1", "0", "-14", "abc"):
        assert structure(LibraryFile, FILE | {"folder_id": folder_id}).folder_id == folder_id


@pytest.mark.parametrize("word", ["MYCOMPUTER", "MyComputer", "mycomputer"])
def test_row_6_a_source_is_the_same_in_any_case(word: str) -> None:
    file = structure(LibraryFile, FILE | {"source": word})
    assert file.source is FileSource.MY_COMPUTER
    assert unstructure(file)["source"] == "MyComputer"


def test_row_8_every_type_of_any_list_is_known_and_others_pass_through() -> None:
    for word in ("JPEG", "JPG", "GIF", "PNG", "PDF", "DOC", "DOCX", "XLS", "XLSX", "PPT", "PPTX"):
        assert structure(LibraryFile, FILE | {"file_type": word}).file_type is FileType(word)
    assert structure(LibraryFile, FILE | {"file_type": "WEBP"}).file_type == "WEBP"


def test_row_9_the_trash_sends_type_for_file_type_and_gets_it_back() -> None:
    row = FILE | {"type": "PDF", "status": "Deleted"}
    file = structure(LibraryFile, row)
    assert file.file_type is FileType.PDF
    assert unstructure(file) == row


def test_row_9_with_both_names_nothing_is_lost() -> None:
    row = FILE | {"type": "PDF", "file_type": "JPG"}
    file = structure(LibraryFile, row)
    assert file.file_type is FileType.JPG
    assert unstructure(file) == row


@pytest.mark.parametrize("wrapped", [False, True])
def test_row_12_library_info_is_an_object_or_a_list_of_one(wrapped: bool) -> None:
    info = {"max_upload_size_limit": 5242880, "usage_summary": {"file_count": 637}}
    content = json.dumps([info] if wrapped else info).encode()
    assert decode(LibraryInfo, content) == LibraryInfo(
        max_upload_size_limit=5242880, usage_summary=UsageSummary(file_count=637)
    )


def test_row_12_an_empty_list_is_not_library_info() -> None:
    with pytest.raises(errors.DecodeError):
        decode(LibraryInfo, b"[]")


@pytest.mark.parametrize("value", [{"width": 3}, [{"width": 3}], [{"width": 3}, {"width": 4}]])
def test_row_13_a_thumbnail_in_a_list_is_the_first_one(value: object) -> None:
    assert structure(LibraryFile, FILE | {"thumbnail": value}).thumbnail == Thumbnail(width=3)


@pytest.mark.parametrize("value", [[], None])
def test_row_13_no_thumbnail_is_none(value: object) -> None:
    assert structure(LibraryFile, FILE | {"thumbnail": value}).thumbnail is None


@pytest.mark.parametrize("value", [None, "", "0", 0])
def test_row_14_a_top_folder_is_known_in_every_form(value: object) -> None:
    folder = structure(LibraryFolder, {"id": "-1", "name": "x", "level": 0, "parent_id": value})
    assert folder.is_top
    assert unstructure(folder).get("parent_id") == (None if value is None else str(value))


@pytest.mark.parametrize("value", ["6", "-6", 6])
def test_row_15_folder_ids_are_opaque_text(value: object) -> None:
    assert structure(LibraryFolder, {"id": value, "name": "x"}).id == str(value)


def test_row_18_a_null_set_of_statuses_is_empty() -> None:
    assert decode(list[FileUploadStatus], b"null") == []
    assert decode(list[FileUploadStatus], b"[]") == []


def test_row_19_a_numeric_file_id_is_the_same_id() -> None:
    row = decode(list[FileUploadStatus], b'[{"file_id":9,"status":"Active"}]')[0]
    assert row.file_id == "9"


def test_row_10_a_listing_is_sorted_by_created_date() -> None:
    assert "ADDED_DATE" not in {*FileSortOrder, *FolderSortOrder}
    assert FileSortOrder("CREATED_DATE_DESC")
    assert FolderSortOrder("CREATED_DATE_DESC")


def test_row_11_a_listing_is_narrowed_by_the_words_of_the_table() -> None:
    assert list(FileTypeQuery) == ["ALL", "IMAGES", "DOCUMENTS"]


def test_row_17_changing_a_file_takes_a_description() -> None:
    check(LibraryFileUpdate(""))
    with pytest.raises(errors.InvalidField):
        check(structure(LibraryFile, FILE))


def test_row_22_row_errors_are_text_or_objects() -> None:
    row = {"id": "a", "errors": ["Line 2: bad", {"message": "bad", "line_number": 0}]}
    activity = structure(Activity, row)
    assert activity.errors == ("Line 2: bad", ActivityError("bad", 0))
    assert unstructure(activity) == row | {"warnings": []}


@pytest.mark.parametrize(("value", "count"), [("12", 12), (12, 12), ("", None), ("many", None)])
def test_row_23_counts_are_numbers_if_possible(value: object, count: int | None) -> None:
    activity = structure(Activity, {"id": "a", "contact_count": value, "error_count": value})
    assert (activity.contact_count, activity.error_count) == (count, count)
    assert str(unstructure(activity)["contact_count"]) == str(value)


def test_row_23_the_count_is_also_spelled_contacts_count() -> None:
    activity = structure(Activity, {"id": "a", "contacts_count": 3})
    assert activity.contact_count == 3
    written = unstructure(activity)
    assert (written["contacts_count"], "contact_count" in written) == (3, False)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("UNCONFIRMED", Outcome.PENDING),
        ("PENDING", Outcome.PENDING),
        ("QUEUED", Outcome.PENDING),
        ("RUNNING", Outcome.PENDING),
        ("COMPLETE", Outcome.SUCCESS),
        ("ERROR", Outcome.FAILURE),
        ("CANCELLED", Outcome.FAILURE),
        ("complete", Outcome.SUCCESS),
        ("PAUSED", Outcome.PENDING),
        (None, Outcome.PENDING),
    ],
)
def test_row_25_each_state_of_an_activity_has_its_outcome(
    status: str | None, outcome: Outcome
) -> None:
    assert activity_outcome(status) is outcome
    assert structure(Activity, {"id": "a", "status": status}).outcome is outcome


def test_row_25_the_table_of_outcomes_covers_every_state() -> None:
    assert set(ACTIVITY_OUTCOMES) == set(ActivityStatus)


@pytest.mark.parametrize("column", ["Email", "Email Address", "EMAIL"])
def test_row_26_the_address_column_is_accepted_in_every_spelling(column: str) -> None:
    check(ExportContactsRequest(("4",), ("First Name", column)))


def test_row_26_an_export_requests_email_address_by_default() -> None:
    assert ExportContactsRequest(("4",)).column_names == ("Email Address",)
    with pytest.raises(errors.InvalidField):
        check(ExportContactsRequest(("4",), ("First Name",)))


@pytest.mark.parametrize("key", ["error_key", "error_code"])
def test_row_29_the_key_of_an_error_is_found_under_either_name(key: str) -> None:
    row = {key: "json.email.invalid", "error_message": "x"}
    error = decode(list[ErrorItem], json.dumps([row]).encode())[0]
    assert (error.error_key, error.error_message) == ("json.email.invalid", "x")
    assert unstructure(error) == row


@pytest.mark.parametrize(
    "model", [Contact, ContactList, ContactListRef, Schedule, Campaign, Event, Fee, Activity]
)
def test_row_30_ids_are_text_also_when_they_come_as_numbers(model: type[Any]) -> None:
    assert structure(model, {"id": 196}).id == "196"


def test_row_30_the_campaign_of_a_report_is_text() -> None:
    assert structure(OpenActivity, {"campaign_id": 1100394165290}).campaign_id == "1100394165290"


def test_row_31_a_list_may_be_created_as_removed() -> None:
    check(ContactListWrite("x", ContactListStatus.REMOVED))
    assert structure(ContactList, {"id": 1, "status": "REMOVED"}).status is (
        ContactListStatus.REMOVED
    )


def test_row_34_a_test_send_uses_the_plural_name_for_addresses() -> None:
    assert unstructure(TestSend(("a@example.com",)))["email_addresses"] == ["a@example.com"]


@pytest.mark.parametrize("name", ["CustomField1", "custom_field_1", "CUSTOM FIELD 1"])
def test_row_37_both_spellings_of_custom_fields_are_kept_apart(name: str) -> None:
    assert structure(CustomField, {"name": name, "value": "x"}).name == name
    assert unstructure(ImportCustomField(name, "x"))["name"] == name


def test_row_38_registrants_is_sent_and_both_are_read() -> None:
    fee = {"id": "f", "label": "x", "fee": 20.0}
    for word in ("REGISTRANT", "REGISTRANTS"):
        read = structure(Fee, fee | {"fee_scope": word})
        assert read.fee_scope is FeeScope(word)
        check(read)
    check(FeeWrite("x", 20.0, FeeScope.REGISTRANTS))
    with pytest.raises(errors.InvalidField):
        check(FeeWrite("x", 20.0, FeeScope.REGISTRANT))


def test_row_39_the_mistakes_of_the_sdks_are_not_imitated() -> None:
    event = structure(Event, {"id": "e", "payment_address": {"city": "Anytown"}})
    assert event.payment_address is not None
    assert event.payment_address.city == "Anytown"
    assert (CurrencyType("HUF"), CurrencyType("ILS")) == (CurrencyType.HUF, CurrencyType.ILS)


@pytest.mark.parametrize("key", ["guest_info", "guests_info", "guest_sections"])
def test_row_40_guests_are_read_under_every_name(key: str) -> None:
    row = {"id": "r", "guests": {"guest_count": 1, key: [{"guest_id": "g"}]}}
    registrant = structure(RegistrantDetail, row)
    assert registrant.guests is not None
    assert registrant.guests.guest_info == (Guest("g"),)
    assert unstructure(registrant)["guests"] == row["guests"]


def test_row_41_an_item_with_attributes_has_no_quantity_of_its_own() -> None:
    item = structure(Item, {"id": "i", "attributes": [{"id": "a", "quantity_total": 3}]})
    assert item.default_quantity_available is None
    assert item.attributes == (ItemAttribute("a", quantity_total=3),)


def test_row_42_an_event_is_published_by_a_patch_in_the_form_of_the_service() -> None:
    assert json.loads(encode([EventStatusPatch(EventStatus.ACTIVE)])) == [
        {"op": "REPLACE", "path": "#/status", "value": "ACTIVE"}
    ]
    with pytest.raises(errors.InvalidField):
        check(EventStatusPatch(EventStatus.DRAFT))


def test_row_45_a_confirmed_address_arrives_in_a_list() -> None:
    rows = decode(
        list[VerifiedEmailAddress], b'[{"email_address":"a@b.com","status":"UNCONFIRMED"}]'
    )
    assert rows == [VerifiedEmailAddress("a@b.com", VerifiedEmailStatus.UNCONFIRMED)]


def test_row_46_a_resource_that_is_written_back_leaves_nothing_out() -> None:
    row = {"id": "1", "name": "x", "status": "ACTIVE", "contact_count": 3, "colour": "red"}
    assert unstructure(structure(ContactList, row)) == row


def test_row_47_a_row_of_the_campaign_listing_has_four_keys() -> None:
    row = {
        "id": "1",
        "name": "x",
        "status": "SENT",
        "modified_date": "2012-02-10T11:07:42.626Z",
    }
    assert unstructure(structure(CampaignSummary, row)) == row
