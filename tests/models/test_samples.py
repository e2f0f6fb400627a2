"""The sample payloads of the reference round-trip through the models without loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ccv2_async import models
from ccv2_async.models import Page, decode, encode
from tests.contract.losses import lost

SAMPLES = Path(__file__).parents[3] / "shared" / "api" / "samples"

MODELS: dict[str, Any] = {
    "account_info_response": models.AccountInfo,
    "activities_response": list[models.Activity],
    "activity_response": models.Activity,
    "add_contacts_request": models.AddContactsRequest,
    "add_contacts_response": models.Activity,
    "clear_lists_response": models.Activity,
    "contact": models.Contact,
    "contact_response": models.Contact,
    "contacts_response": Page[models.Contact],
    "email_campaign_preview_response": models.CampaignPreview,
    "email_campaign_response": models.Campaign,
    "email_campaigns_response": Page[models.CampaignSummary],
    "export_contacts_request": models.ExportContactsRequest,
    "export_contacts_response": models.Activity,
    "library_file_response": models.LibraryFile,
    "library_files_by_folder_response": Page[models.LibraryFile],
    "library_files_move_results_response": list[models.MoveResult],
    "library_files_response": Page[models.LibraryFile],
    "library_files_upload_status_response": list[models.FileUploadStatus],
    "library_folder_response": models.LibraryFolder,
    "library_folders_response": Page[models.LibraryFolder],
    "library_info_response": models.LibraryInfo,
    "library_trash_response": Page[models.LibraryFile],
    "list": models.ContactList,
    "list_response": models.ContactList,
    "lists_response": list[models.ContactList],
    "remove_contacts_from_lists_request": models.RemoveContactsRequest,
    "remove_contacts_from_lists_response": models.Activity,
    "remove_contacts_response": models.Activity,
    "schedule_response": models.Schedule,
    "schedules_response": list[models.Schedule],
    "test_send_request": models.TestSend,
    "test_send_response": models.TestSend,
    "verified_email_addresses_response": list[models.VerifiedEmailAddress],
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_sample_round_trips_without_loss(name: str) -> None:
    path = SAMPLES / f"{name}.json"
    if not path.exists():
        pytest.skip("the reference with its sample payloads is not beside this repository")
    before = json.loads(path.read_bytes())
    read = decode(MODELS[name], path.read_bytes())
    if isinstance(read, Page):
        assert read.next_link == before["meta"]["pagination"].get("next_link")
        assert lost(before["results"], json.loads(encode(read.results))) == []
    elif name == "library_info_response":
        assert lost(before, [json.loads(encode(read))]) == []
    else:
        assert lost(before, json.loads(encode(read))) == []


def test_every_sample_has_its_model() -> None:
    if not SAMPLES.exists():
        pytest.skip("the reference with its sample payloads is not beside this repository")
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(MODELS)


def test_the_comparison_notices_a_loss() -> None:
    before = {"a": 1, "b": [{"c": "2013-06-19T11:36:43.000-04:00"}], "d": None, "e": "x"}
    assert lost(before, {"a": "1", "b": [{"c": "2013-06-19T15:36:43.000Z"}], "e": "x"}) == []
    assert lost(before, {"b": [{"c": "2014-06-19T15:36:43.000Z"}]}) == ["$.a", "$.b[0].c", "$.e"]
    assert lost(before, {"a": 1, "b": [], "e": "x"}) == ["$.b"]
    assert lost({"a": []}, {}) == ["$.a"]
