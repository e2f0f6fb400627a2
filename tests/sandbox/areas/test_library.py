from __future__ import annotations

import base64
import hashlib
import struct
import time
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    Upload = Callable[..., httpx.Response]

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + rb"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def key_of(answer: httpx.Response) -> str:
    (error,) = answer.json()
    key: str = error["error_key"]
    return key


def png(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(head))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
    )


def folder(api: httpx.Client, name: str, parent: str | None = None) -> dict[str, Any]:
    answer = api.post("/library/folders", json={"name": name, "parent_id": parent})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_an_upload_is_accepted_with_its_id_in_both_headers_and_no_body(
    sandbox: Sandbox, upload: Upload
) -> None:
    answer = upload("menu.pdf", b"pdf")
    assert answer.status_code == 202
    assert answer.content == b""
    assert answer.headers["location"] == f"{sandbox.base_url}/library/files/{answer.headers['id']}"


def test_a_form_with_many_parts_is_read_in_linear_time(api: httpx.Client) -> None:
    part = '--b\r\nContent-Disposition: form-data; name="part-{}"\r\n\r\n\r\n'
    body = "".join(map(part.format, range(40_000))) + "--b--"
    began = time.process_time()
    answer = api.post(
        "/library/files",
        content=body.encode(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
        timeout=60.0,
    )
    assert answer.status_code == 400
    assert time.process_time() - began < 8.0


def test_an_upload_gets_a_numbered_name_if_its_name_is_taken(
    api: httpx.Client, upload: Upload
) -> None:
    made = folder(api, "wildflowers")

    def stored_name(name: str, **fields: str) -> str:
        answer = upload(name, b"data", **fields)
        found: str = api.get(f"/library/files/{answer.headers['id']}").json()["name"]
        return found

    assert [stored_name("IMG_0300.JPG") for _ in range(3)] == [
        "IMG_0300.JPG",
        "IMG_0300(1).JPG",
        "IMG_0300(2).JPG",
    ]
    assert stored_name("img_0300.jpg") == "img_0300(3).jpg"
    assert stored_name("IMG_0300(1).JPG") == "IMG_0300(1)(1).JPG"
    assert stored_name("IMG_0300.JPG", folder_id=made["id"]) == "IMG_0300.JPG"
    assert stored_name("IMG_0300.JPG", folder_id=made["id"]) == "IMG_0300(1).JPG"
    assert [stored_name("notes", file_type="PDF") for _ in range(2)] == ["notes", "notes(1)"]


def test_a_name_is_free_again_after_delete_move_or_rename(
    api: httpx.Client, upload: Upload
) -> None:
    made = folder(api, "wildflowers")

    def uploaded() -> dict[str, Any]:
        answer = upload("a.png", b"data")
        row: dict[str, Any] = api.get(f"/library/files/{answer.headers['id']}").json()
        return row

    first = uploaded()
    assert api.delete(f"/library/files/{first['id']}").status_code == 204
    second = uploaded()
    assert second["name"] == "a.png"
    api.put(f"/library/folders/{made['id']}/files", json=[second["id"]])
    third = uploaded()
    assert third["name"] == "a.png"
    api.put(f"/library/files/{third['id']}", json={"name": "b.png", "description": ""})
    assert uploaded()["name"] == "a.png"
    fifth = uploaded()
    assert fifth["name"] == "a(1).png"
    api.delete(f"/library/files/{fifth['id']}")
    assert uploaded()["name"] == "a(1).png"


def test_the_received_bytes_can_be_verified(sandbox: Sandbox, upload: Upload) -> None:
    content = bytes(range(256)) * 500
    file_id = upload("menu.pdf", content).headers["id"]
    (stored,) = sandbox.admin.files()
    assert stored["sha256"] == hashlib.sha256(content).hexdigest()
    assert stored["size"] == len(content)
    assert sandbox.admin.content(file_id) == content


def test_a_file_has_the_sent_fields_and_those_of_the_service(
    api: httpx.Client, upload: Upload
) -> None:
    made = folder(api, "wildflowers")
    answer = upload(
        "IMG_1.PNG", png(800, 600), folder_id=made["id"], description="daisies", source="MOBILE"
    )
    row = api.get(f"/library/files/{answer.headers['id']}").json()
    assert row["name"] == "IMG_1.PNG"
    assert row["description"] == "daisies"
    assert (row["folder"], row["folder_id"]) == ("wildflowers", made["id"])
    assert (row["width"], row["height"]) == (800, 600)
    assert (row["thumbnail"]["width"], row["thumbnail"]["height"]) == (200, 150)
    assert row["source"] == "Mobile"
    assert row["is_image"] is True
    assert row["status"] == "Active"
    assert row["created_date"].endswith("-04:00")
    assert httpx.get(row["url"], trust_env=False).content == png(800, 600)


def test_a_file_without_a_folder_goes_to_the_default_for_its_type(
    api: httpx.Client, upload: Upload
) -> None:
    upload("a.png")
    upload("b.pdf")
    rows = {row["name"]: row for row in api.get("/library/files").json()["results"]}
    assert (rows["a.png"]["folder"], rows["a.png"]["folder_id"]) == ("Images", None)
    assert (rows["b.pdf"]["folder"], rows["b.pdf"]["folder_id"]) == ("Documents", None)
    tops = {row["name"]: row for row in api.get("/library/folders").json()["results"]}
    assert tops["Images"]["item_count"] == tops["Documents"]["item_count"] == 1
    assert tops["Images"]["level"] == 0
    listed = api.get(f"/library/folders/{tops['Images']['id']}/files").json()["results"]
    assert [row["name"] for row in listed] == ["a.png"]
    assert len(api.get("/library/folders/0/files").json()["results"]) == 2


@pytest.mark.parametrize(
    ("fields", "status", "key"),
    [
        ({"folder_id": "-99"}, 400, "json.field.folder_id.value.invalid"),
        ({"file_type": "EXE"}, 400, "json.field.file_type.value.invalid"),
        ({"source": "Elsewhere"}, 400, "json.field.source.value.invalid"),
        ({"description": "d" * 101}, 400, "json.field.description.value.invalid"),
        ({"name": "n" * 77 + ".pdf"}, 400, "json.field.file_name.value.invalid"),
        ({"description": None}, 400, "json.field.description.missing"),
        ({"file_name": None}, 400, "json.field.file_name.missing"),
        ({"file_name": " "}, 400, "json.field.file_name.missing"),
        (
            {"content": b"x" * 5_242_881},
            413,
            "http.status.request_entity_too_large",
        ),
    ],
)
def test_an_upload_that_breaks_a_rule_is_refused_and_nothing_is_stored(
    sandbox: Sandbox, upload: Upload, fields: dict[str, Any], status: int, key: str
) -> None:
    answer = upload(**fields)
    assert (answer.status_code, key_of(answer)) == (status, key)
    assert sandbox.admin.files() == []


def test_an_upload_of_exactly_the_limit_and_with_the_longest_name_is_accepted(
    upload: Upload,
) -> None:
    answer = upload("n" * 76 + ".pdf", b"x" * 5_242_880, description="d" * 100, source="MYCOMPUTER")
    assert answer.status_code == 202


def test_the_size_limit_matches_the_library_info(
    sandbox: Sandbox, api: httpx.Client, upload: Upload
) -> None:
    sandbox.admin.configure(max_upload_size=10)
    assert api.get("/library/info").json()["max_upload_size_limit"] == 10
    assert upload(content=b"x" * 11).status_code == 413
    assert upload(content=b"x" * 10).status_code == 202


def test_the_library_info_counts_files_and_bytes(
    sandbox: Sandbox, api: httpx.Client, upload: Upload
) -> None:
    upload("a.png", b"12345")
    upload("b.pdf", b"123")
    usage = api.get("/library/info").json()["usage_summary"]
    assert usage["file_count"] == 2
    assert (usage["image_count"], usage["image_bytes_used"]) == (1, 5)
    assert (usage["document_count"], usage["document_bytes_used"]) == (1, 3)
    assert usage["total_bytes_used"] == 8
    sandbox.admin.configure(info_as_list=True)
    assert api.get("/library/info").json()[0]["usage_summary"] == usage


def test_the_eicar_test_content_is_found_anywhere_in_a_file(
    api: httpx.Client, upload: Upload
) -> None:
    for padding in (b"", b"x" * 65_500, b"y" * 200_000):
        file_id = upload("clean.png", padding + EICAR + b"tail").headers["id"]
        (row,) = api.get(f"/library/files/uploadstatus/{file_id}").json()
        assert row["status"] == "VirusFound"


def test_upload_status_returns_known_ids_and_leaves_out_others(
    sandbox: Sandbox, api: httpx.Client, upload: Upload
) -> None:
    first, second = upload().headers["id"], upload().headers["id"]
    for joined in (f"{first},77,{second}", f"{first}%2C77%2C{second}"):
        rows = api.get(f"/library/files/uploadstatus/{joined}").json()
        assert rows == [
            {"file_id": file_id, "status": "Active", "description": "Active"}
            for file_id in (first, second)
        ]
    assert api.get("/library/files/uploadstatus/77").json() == []
    sandbox.admin.configure(unknown_as_null=True)
    assert api.get("/library/files/uploadstatus/77").text == "null"


def test_folders_nest_three_levels_and_show_their_children(api: httpx.Client) -> None:
    top = folder(api, "top")
    middle = folder(api, "middle", top["id"])
    bottom = folder(api, "bottom", middle["id"])
    assert [made["level"] for made in (top, middle, bottom)] == [1, 2, 3]
    assert int(top["id"]) < 0
    answer = api.post("/library/folders", json={"name": "cellar", "parent_id": bottom["id"]})
    assert (answer.status_code, key_of(answer)) == (400, "json.field.parent_id.value.invalid")
    shown = api.get(f"/library/folders/{top['id']}").json()
    assert shown["children"][0]["children"][0]["name"] == "bottom"
    assert shown["children"][0]["children"][0]["children"] == []


def test_a_child_of_a_system_folder_is_on_the_second_level(api: httpx.Client) -> None:
    assert folder(api, "studies", "-1")["level"] == 2


@pytest.mark.parametrize(
    ("body", "status", "key"),
    [
        ({"name": "Top"}, 409, "http.status.conflict"),
        ({"name": "x" * 41}, 400, "json.field.name.value.invalid"),
        ({"name": "菜单"}, 400, "json.field.name.value.invalid"),
        ({"name": ""}, 400, "json.field.name.value.invalid"),
        ({"name": None}, 400, "json.field.name.missing"),
        ({"name": 7}, 400, "json.field.name.value.invalid"),
        ({"name": "y", "parent_id": "-99"}, 400, "json.field.parent_id.value.invalid"),
        (["name"], 400, "json.field.body.value.invalid"),
    ],
)
def test_a_folder_that_breaks_a_rule_is_refused(
    api: httpx.Client, body: Any, status: int, key: str
) -> None:
    folder(api, "top")
    answer = api.post("/library/folders", json=body)
    assert (answer.status_code, key_of(answer)) == (status, key)


def test_the_same_folder_name_is_allowed_below_another_parent(api: httpx.Client) -> None:
    top = folder(api, "same")
    assert folder(api, "same", top["id"])["parent_id"] == top["id"]


def test_a_folder_is_renamed_and_moved_by_sending_the_full_resource(
    api: httpx.Client,
) -> None:
    top, other = folder(api, "top"), folder(api, "other")
    child = folder(api, "child", top["id"])
    answer = api.put(f"/library/folders/{child['id']}", json={**child, "name": "renamed"})
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["parent_id"]) == ("renamed", top["id"])
    moved = api.put(
        f"/library/folders/{child['id']}", json={"name": "renamed", "parent_id": other["id"]}
    )
    assert moved.json()["parent_id"] == other["id"]
    up = api.put(f"/library/folders/{child['id']}", json={"name": "renamed", "parent_id": "0"})
    assert up.json()["level"] == 1


def test_a_folder_update_without_payload_returns_only_a_location(api: httpx.Client) -> None:
    top = folder(api, "top")
    answer = api.put(
        f"/library/folders/{top['id']}", json={"name": "new"}, params={"include_payload": "FALSE"}
    )
    assert answer.status_code == 204
    assert answer.content == b""
    assert api.get(answer.headers["location"]).json()["name"] == "new"


@pytest.mark.parametrize("parent", ["self", "child"])
def test_a_folder_cannot_be_moved_into_itself(api: httpx.Client, parent: str) -> None:
    top = folder(api, "top")
    child = folder(api, "child", top["id"])
    target = top["id"] if parent == "self" else child["id"]
    answer = api.put(f"/library/folders/{top['id']}", json={"name": "top", "parent_id": target})
    assert answer.status_code == 400


def test_a_tree_cannot_be_moved_below_the_third_level(api: httpx.Client) -> None:
    top, other = folder(api, "top"), folder(api, "other")
    middle = folder(api, "middle", top["id"])
    folder(api, "bottom", middle["id"])
    place = folder(api, "place", other["id"])
    answer = api.put(
        f"/library/folders/{middle['id']}", json={"name": "middle", "parent_id": place["id"]}
    )
    assert answer.status_code == 400


def test_renaming_to_a_siblings_name_is_a_conflict(api: httpx.Client) -> None:
    folder(api, "one")
    two = folder(api, "two")
    answer = api.put(f"/library/folders/{two['id']}", json={"name": "one"})
    assert answer.status_code == 409


def test_deleting_a_folder_deletes_subfolders_and_trashes_files(
    api: httpx.Client, upload: Upload
) -> None:
    top = folder(api, "top")
    child = folder(api, "child", top["id"])
    upload("a.png", folder_id=child["id"])
    assert api.delete(f"/library/folders/{top['id']}").status_code == 204
    assert api.get(f"/library/folders/{child['id']}").status_code == 404
    (row,) = api.get("/library/folders/trash/files").json()["results"]
    assert (row["name"], row["status"], row["type"]) == ("a.png", "Deleted", "PNG")
    assert "file_type" not in row


def test_system_folders_cannot_be_deleted(api: httpx.Client) -> None:
    assert api.delete("/library/folders/-1").status_code == 400
    assert api.put("/library/folders/-1", json={"name": "Mine"}).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/library/folders/-99", None),
        ("PUT", "/library/folders/-99", {"name": "x"}),
        ("DELETE", "/library/folders/-99", None),
        ("GET", "/library/folders/-99/files", None),
        ("PUT", "/library/folders/-99/files", []),
        ("GET", "/library/files/99", None),
        ("PUT", "/library/files/99", {"name": "x", "description": ""}),
        ("DELETE", "/library/files/99", None),
    ],
)
def test_missing_resources_are_a_404(api: httpx.Client, method: str, path: str, body: Any) -> None:
    answer = api.request(method, path, json=body)
    assert (answer.status_code, key_of(answer)) == (404, "http.status.not_found")


def test_a_file_is_updated_by_sending_the_full_resource(api: httpx.Client, upload: Upload) -> None:
    file_id = upload("a.png", png(3, 4)).headers["id"]
    before = api.get(f"/library/files/{file_id}").json()
    sent = {**before, "description": "new", "size": 1, "status": "Failed", "url": None}
    answer = api.put(f"/library/files/{file_id}", json=sent)
    assert answer.status_code == 200
    changed = {key for key, value in answer.json().items() if value != before[key]}
    assert changed <= {"description", "modified_date"}
    assert answer.json()["description"] == "new"


def test_a_file_update_needs_a_description_and_an_existing_folder(
    api: httpx.Client, upload: Upload
) -> None:
    file_id = upload().headers["id"]
    answer = api.put(f"/library/files/{file_id}", json={"name": "x.pdf"})
    assert key_of(answer) == "json.field.description.missing"
    answer = api.put(f"/library/files/{file_id}", json={"description": "", "folder_id": "-9"})
    assert (answer.status_code, key_of(answer)) == (400, "json.field.folder_id.value.invalid")


def test_a_file_update_can_move_the_file_and_return_no_payload(
    api: httpx.Client, upload: Upload
) -> None:
    top = folder(api, "top")
    file_id = upload().headers["id"]
    answer = api.put(
        f"/library/files/{file_id}",
        json={"name": "x.pdf", "description": "", "folder_id": top["id"]},
        params={"include_payload": "FALSE"},
    )
    assert answer.status_code == 204
    row = api.get(answer.headers["location"]).json()
    assert (row["name"], row["folder_id"]) == ("x.pdf", top["id"])


def test_files_are_moved_all_or_nothing(
    sandbox: Sandbox, api: httpx.Client, upload: Upload
) -> None:
    top = folder(api, "top")
    first, second = upload().headers["id"], upload().headers["id"]
    answer = api.put(f"/library/folders/{top['id']}/files", json=[first, "77"])
    assert answer.status_code == 400
    assert [row["folder_id"] for row in sandbox.admin.files()] == [None, None]
    answer = api.put(f"/library/folders/{top['id']}/files", json=[first, second])
    assert answer.json() == [
        {"id": file_id, "uri": f"{sandbox.base_url}/library/files/{file_id}"}
        for file_id in (first, second)
    ]
    assert [row["folder_id"] for row in sandbox.admin.files()] == [top["id"], top["id"]]


def test_deleted_files_go_to_the_trash_and_can_be_purged(
    sandbox: Sandbox, api: httpx.Client, upload: Upload
) -> None:
    first, second, third = (upload().headers["id"] for _ in range(3))
    assert api.delete(f"/library/files/{first},77").status_code == 404
    assert api.delete(f"/library/files/{second},{first}").status_code == 204
    assert [row["id"] for row in api.get("/library/files").json()["results"]] == [third]
    assert api.put(f"/library/files/{first}", json={"description": ""}).status_code == 404
    (row,) = api.get(f"/library/files/uploadstatus/{first}").json()
    assert row["status"] == "Deleted"
    assert api.delete("/library/folders/trash/files").status_code == 204
    assert api.get("/library/folders/trash/files").json()["results"] == []
    assert api.get(f"/library/files/{first}").status_code == 404
    assert sandbox.admin.content(first) is None


def test_next_links_are_relative_and_contain_no_key(api: httpx.Client, upload: Upload) -> None:
    for number in range(5):
        upload(f"{number}.pdf")
        upload(f"{number}.png")
    query: dict[str, Any] = {"limit": 2, "sort_by": "NAME_DESC", "type": "DOCUMENTS"}
    answer = api.get("/library/files", params=query).json()
    names = [row["name"] for row in answer["results"]]
    while "next_link" in answer["meta"]["pagination"]:
        link = answer["meta"]["pagination"]["next_link"]
        path, _, cursor = link.partition("?next=")
        assert path == "/v2/library/files"
        assert "=" not in cursor
        base64.urlsafe_b64decode(cursor + "==")
        answer = api.get("/library/files", params={"next": cursor}).json()
        names += [row["name"] for row in answer["results"]]
    assert names == ["4.pdf", "3.pdf", "2.pdf", "1.pdf", "0.pdf"]
    assert answer["meta"] == {"pagination": {}}


@pytest.mark.parametrize(
    ("sort_by", "expected"),
    [
        ("NAME", ["a.png", "B.png", "c.png"]),
        ("SIZE_DESC", ["a.png", "c.png", "B.png"]),
        ("DIMENSION", ["a.png", "B.png", "c.png"]),
        ("CREATED_DATE", ["c.png", "a.png", "B.png"]),
        ("ADDED_DATE_DESC", ["B.png", "a.png", "c.png"]),
    ],
)
def test_files_are_sorted_as_requested(
    api: httpx.Client, upload: Upload, sort_by: str, expected: list[str]
) -> None:
    upload("c.png", png(30, 30))
    upload("a.png", png(10, 10) + b"longer")
    upload("B.png", png(20, 20)[:-1])
    answer = api.get("/library/files", params={"sort_by": sort_by})
    assert [row["name"] for row in answer.json()["results"]] == expected


def test_files_are_filtered_by_source_and_sorted_newest_first(
    api: httpx.Client, upload: Upload
) -> None:
    upload("a.png", source="Facebook")
    upload("b.png", source="Mobile")
    upload("c.png", source="Facebook")
    answer = api.get("/library/files", params={"source": "Facebook"})
    assert [row["name"] for row in answer.json()["results"]] == ["c.png", "a.png"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 1001},
        {"limit": "many"},
        {"sort_by": "COLOUR"},
        {"type": "IMAGE"},
        {"source": "Pigeon"},
        {"next": "!!!"},
        {"next": "bm9uc2Vuc2U"},
        {"next": "c3RhcnRBdD0tMQ"},
    ],
)
def test_a_query_outside_the_documented_values_is_refused(
    api: httpx.Client, query: dict[str, Any]
) -> None:
    answer = api.get("/library/files", params=query)
    (name,) = query
    assert (answer.status_code, key_of(answer)) == (400, f"query.param.{name}.invalid")


def test_ids_start_at_a_random_number_unless_seeded() -> None:
    def ids(**settings: Any) -> tuple[str, str]:
        with Sandbox(mode="at_once", **settings) as one:
            options = one.client_options()
            with httpx.Client(
                base_url=options["base_url"],
                params={"api_key": options["api_key"]},
                headers={"authorization": f"Bearer {options['access_token']}"},
                trust_env=False,
            ) as client:
                texts = {
                    "file_name": "a.png",
                    "file_type": "PNG",
                    "folder_id": "0",
                    "description": "",
                    "source": "MyComputer",
                }
                client.post(
                    "/library/files", data=texts, files={"data": ("a.png", b"\x89PNG\r\n\x1a\n")}
                )
                cleared = client.post("/activities/clearlists", json={"lists": ["1"]})
            return one.admin.files()[0]["id"], cleared.json()["id"]

    first, second = ids(), ids()
    assert first[0] != second[0]
    assert first[1] != second[1]
    assert ids(seed=7) == ids(seed=7)
    assert ids(seed=7) != ids(seed=8)


def test_a_reset_sandbox_does_not_reuse_ids(sandbox: Sandbox, upload: Any) -> None:
    before = upload().headers["id"]
    sandbox.admin.reset()
    assert upload().headers["id"] != before
