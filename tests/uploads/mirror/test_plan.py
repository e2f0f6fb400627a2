"""The decisions of a mirror, without a service: examples, and properties of all plans."""

from __future__ import annotations

import itertools
import unicodedata
from decimal import Decimal
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccv2_async.errors import FileRefused, InvalidField
from ccv2_async.models import LibraryFile
from ccv2_async.uploads.mirror.plan import (
    UNSURE,
    Known,
    LocalFile,
    MirrorAction,
    MirrorEntry,
    MirrorResult,
    RemoteFile,
    Unfinished,
    allowed_deletions,
    decide,
    key_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ccv2_async.uploads.mirror.plan import Key, Plan

A = key_of((), "a.png")


def local(name: str = "a.png", size: int = 10, time: int = 1, digest: str = "") -> LocalFile:
    return LocalFile(f"/here/{name}", (), name, size, time, digest)


def remote(
    id_: str, name: str = "a.png", size: int = 10, status: str = "Active", *folders: str
) -> RemoteFile:
    return RemoteFile(LibraryFile(id=id_, name=name, size=size, status=status), folders)


def told(plan: Plan) -> list[tuple[MirrorAction, str, str, tuple[str, ...]]]:
    return [
        (entry.action, entry.name, entry.file_id, entry.replaces) for entry in plan.result.entries
    ]


def test_a_new_file_is_uploaded() -> None:
    assert told(decide([local()], [], {})) == [(MirrorAction.UPLOAD, "a.png", "", ())]


def test_an_entry_names_the_file_on_the_side_that_has_it() -> None:
    stranger = remote("7", "b.png", 11, "Active", "sub")
    assert decide([local()], [stranger], {}, delete=True).result.entries == (
        MirrorEntry(MirrorAction.UPLOAD, "a.png", (), "/here/a.png", 10),
        MirrorEntry(MirrorAction.TRASH, "b.png", ("sub",), "", 11, "7"),
    )


def test_a_record_follows_the_bytes_of_its_file() -> None:
    assert Known("7", 10, 1, "d").now_as(local(time=2, digest="e")) == Known("7", 10, 2, "e")


def test_folders_are_told_apart_from_the_parts_of_their_names() -> None:
    assert key_of(("a", "b"), "c") != key_of(("ab",), "c")
    assert key_of(("a", "b"), "c") == ("a/b", "c")


@pytest.mark.parametrize("name", ["a.png", "A.PNG"])
def test_a_file_without_a_record_is_compared_by_name_and_size(name: str) -> None:
    plan = decide([local()], [remote("7", name)], {})
    assert (told(plan), plan.result.equal) == ([], 1)
    assert plan.known == {A: Known("7", 10, 1)}

    plan = decide([local()], [remote("7", name, 11)], {})
    assert told(plan) == [(MirrorAction.REPLACE, "a.png", "", ("7",))]
    assert plan.known == {A: Known("7")}  # so that a run that is killed knows what to replace


def test_the_two_unicode_forms_of_a_name_are_equal() -> None:
    name = unicodedata.normalize("NFD", "Menü.png")
    assert told(decide([local(name)], [remote("7", "Menü.png")], {})) == []


@pytest.mark.parametrize(
    ("now", "equal"),
    [
        (local(), True),
        (local(time=2, digest="d"), True),
        (local(time=2, digest="e"), False),
        (local(time=2), False),  # it could not be read
        (local(size=11), False),
    ],
)
def test_a_file_with_a_record_is_compared_by_size_and_time_then_digest(
    now: LocalFile, equal: bool
) -> None:
    known = {A: Known("7", 10, 1, "d")}
    # The service may have converted a picture: the size that it lists says nothing here.
    plan = decide([now], [remote("7", size=99)], known)
    assert bool(plan.result.equal) is equal
    assert told(plan) == ([] if equal else [(MirrorAction.REPLACE, "a.png", "", ("7",))])
    if equal:
        assert plan.known == {A: Known("7", 10, now.written_ns, "d")}


def test_a_digest_is_needed_only_if_the_time_alone_has_changed() -> None:
    known = Known("7", 10, 1, "d")
    assert known.needs_digest(local(time=2))
    assert not known.needs_digest(local())
    assert not known.needs_digest(local(size=11, time=2))
    assert not attrs.evolve(known, digest="").needs_digest(local(time=2))


def test_a_file_that_another_client_put_in_its_place_is_replaced() -> None:
    plan = decide([local()], [remote("8")], {A: Known("7", 10, 1, "d")})
    assert told(plan) == [(MirrorAction.REPLACE, "a.png", "", ("8",))]


def test_a_file_that_was_moved_to_another_folder_is_uploaded_again() -> None:
    plan = decide([local()], [remote("7", "a.png", 10, "Active", "sub")], {A: Known("7", 10, 1)})
    assert told(plan) == [(MirrorAction.UPLOAD, "a.png", "", ())]
    assert plan.result.extra == 1


def test_of_several_files_with_its_name_the_one_of_the_same_size_is_used() -> None:
    files = [remote("7", size=9), remote("8"), remote("9", size=11)]
    plan = decide([local()], files, {}, delete=True)
    assert [entry.file_id for entry in plan.result.entries] == ["7", "9"]
    assert plan.result.count(MirrorAction.TRASH) == 2


def test_a_file_that_failed_on_the_server_is_ignored() -> None:
    plan = decide([local()], [remote("7", status="VirusFound")], {})
    assert told(plan) == [(MirrorAction.UPLOAD, "a.png", "", ())]


def test_a_numbered_file_gets_its_name_and_its_older_version_is_trashed() -> None:
    known = {A: Known("8", 10, 1, "d", ("7",))}
    plan = decide([local()], [remote("7"), remote("8", "a(1).png")], known, delete=True)
    assert told(plan) == [(MirrorAction.FINISH, "a.png", "8", ("7",))]
    assert (plan.known, plan.result.equal) == (known, 0)
    # Its own older version may have the name.
    assert told(decide([local()], [remote("7"), remote("8")], known)) == told(plan)
    plan = decide([local()], [remote("8")], known)
    assert (told(plan), plan.known) == ([], {A: Known("8", 10, 1, "d")})


def test_older_versions_are_trashed_although_their_successor_is_gone() -> None:
    known = {A: Known("gone", 10, 1, replaces=("6",))}
    older = remote("6", "a(1).png")
    plan = decide([local()], [older], known)
    assert told(plan) == [(MirrorAction.REPLACE, "a.png", "", ("6",))]
    assert plan.known == {A: Known("", replaces=("6",))}
    plan = decide([local()], [older, remote("8")], known)
    assert told(plan) == [(MirrorAction.REPLACE, "a.png", "", ("8", "6"))]
    assert plan.known == {A: Known("8", replaces=("6",))}


def test_of_equally_large_files_the_one_with_exactly_its_name_is_used() -> None:
    plan = decide([local()], [remote("8"), remote("9", "A.PNG")], {})
    assert plan.known == {A: Known("8", 10, 1)}


def test_a_record_without_a_digest_proves_nothing_after_the_time_has_changed() -> None:
    assert not Known("7", 10, 1).is_content_of(local(time=2))
    assert Known("7", 10, 1).is_content_of(local())


def test_a_name_that_another_file_has_is_left_to_it_unless_that_file_is_trashed() -> None:
    known = {A: Known("8", 10, 1, "d")}
    files = [remote("7", size=3), remote("8", "a(1).png")]
    assert told(decide([local()], files, known)) == []
    assert [
        (action, id_) for action, _, id_, _ in told(decide([local()], files, known, delete=True))
    ] == [
        (MirrorAction.TRASH, "7"),
        (MirrorAction.FINISH, "8"),
    ]


def test_nothing_is_finished_before_the_file_is_active() -> None:
    known = {A: Known("8", 10, 1, "d", ("7",))}
    plan = decide([local()], [remote("7"), remote("8", "a(1).png", 10, "Processing")], known)
    assert (told(plan), plan.known) == ([], known)


def test_an_upload_that_is_under_way_is_continued_and_its_file_is_not_deleted() -> None:
    under_way = Unfinished(pending={A}, file_ids={"8"})
    files = [remote("7"), remote("8", "a(1).png"), remote("9", "b.png")]
    plan = decide([local()], files, {A: Known("7", 9)}, unfinished=under_way, delete=True)
    assert told(plan) == [
        (MirrorAction.REPLACE, "a.png", "", ("7",)),
        (MirrorAction.TRASH, "b.png", "9", ()),
    ]
    # Nobody knows the id of one whose answer was lost: it may be any file of that name.
    plan = decide([local()], files, {}, unfinished=Unfinished({A}, {A}), delete=True)
    assert told(plan) == [
        (MirrorAction.UPLOAD, "a.png", "", ()),
        (MirrorAction.TRASH, "b.png", "9", ()),
    ]


def test_a_file_that_changed_after_a_lost_response_is_replaced_regardless_of_its_size() -> None:
    plan = decide([local()], [remote("7")], {A: UNSURE})
    assert told(plan) == [(MirrorAction.REPLACE, "a.png", "", ("7",))]
    # The listing may lag, so the next run has to know it too.
    assert decide([local()], [], {A: UNSURE}).known == {A: UNSURE}


def test_only_a_plan_with_deletions_trashes_files_that_only_the_library_has() -> None:
    plan = decide([], [remote("7"), remote("8", "b.png")], {A: Known("7", 10, 1)})
    assert (told(plan), plan.result.extra, plan.result.listed) == ([], 2, 2)
    assert A in plan.known  # a file that comes back is still known
    plan = decide([], [remote("7")], {}, delete=True)
    assert told(plan) == [(MirrorAction.TRASH, "a.png", "7", ())]
    assert plan.result.extra == 0


def test_a_refused_file_protects_its_recorded_files_with_any_name() -> None:
    refused = MirrorEntry(MirrorAction.REFUSE, "a.png")
    files = [remote("7", "a(1).png"), remote("6", "old.png"), remote("5", "b.png")]
    known = {A: Known("7", 10, 1, replaces=("6",))}
    plan = decide([], files, known, refused=[refused], delete=True)
    assert [entry.file_id for entry in plan.result.entries] == ["", "5"]


def test_a_refused_file_protects_the_file_with_its_name() -> None:
    refused = MirrorEntry(
        MirrorAction.REFUSE, "A.png", path="/here/A.png", error=FileRefused("A.png", "no")
    )
    plan = decide([], [remote("7")], {}, refused=[refused], delete=True)
    assert plan.result.entries == (refused,)
    assert plan.result.failed == (refused,)


@pytest.mark.parametrize(
    ("name", "is_copy"),
    [
        ("a(1).png", True),
        ("A (12).PNG", True),
        ("a.png", True),  # another client took it while the file was being sent
        ("a(12345).png", False),
        ("a()(1).png", False),
        ("a.png(1)", False),
        ("b(1).png", False),
    ],
)
def test_a_file_that_may_be_a_copy_of_a_local_one_is_named(name: str, is_copy: bool) -> None:
    named = {A: Known("7", 10, 1)}
    sides = [local()], [remote("7", "a(2).png"), remote("8", name, 11)], named
    copy = MirrorEntry(MirrorAction.KEEP, name, (), "", 11, "8")
    assert decide(*sides).result.possible_copies == ((copy,) if is_copy else ())
    assert decide(*sides, delete=True).result.possible_copies == ()  # it is trashed


def test_a_file_that_may_be_an_unfinished_upload_or_failed_is_not_named_as_a_copy() -> None:
    sides = [local()], [remote("8", "a(1).png"), remote("9", "a(2).png", 10, "VirusFound")]
    named = decide(*sides, {}).result.possible_copies
    assert [entry.file_id for entry in named] == ["8"]
    lost = Unfinished({A}, {A})
    assert decide(*sides, {}, unfinished=lost).result.possible_copies == ()


def test_a_copy_in_another_folder_or_of_a_name_without_an_extension_is_told_apart() -> None:
    here = LocalFile("/here/sub/menu", ("sub",), "menu", 10, 1)
    found = [remote("7", "menu(1)", 10, "Active", "sub"), remote("8", "menu(1)")]
    assert [entry.file_id for entry in decide([here], found, {}).result.possible_copies] == ["7"]


@pytest.mark.parametrize(
    ("given", "listed", "allowed"),
    [
        ("50%", 5, 2),
        ("0%", 5, 0),
        ("100%", 5, 5),
        (3, 5, 3),
        ("3", 5, 3),
        (0, 5, 0),
        (None, 5, None),
    ],
)
def test_the_number_of_deletions_is_limited(
    given: int | str | None, listed: int, allowed: int | None
) -> None:
    assert allowed_deletions(given, listed) == allowed


@pytest.mark.parametrize(
    "given", ["", "%", "101%", "-1", -1, "half", "5 %", True, 1.5, b"3", "³", Decimal(5)]
)
def test_other_limits_are_refused(given: object) -> None:
    with pytest.raises(InvalidField) as caught:
        allowed_deletions(given, 5)  # type: ignore[arg-type]
    assert caught.value.rule == 'it must be a count or a share such as "50%"'
    assert (caught.value.field, caught.value.value) == ("max_delete", repr(given))


# Properties of every plan. A content is a number; its size and its digest are that number too.

NAMES = st.sampled_from(["a.png", "A.png", "a(1).png", "b.png", "b(1).png", "c.png"])
CONTENTS = st.integers(1, 3)


@attrs.define
class World:
    """A library folder that behaves as the service does, and the journal of its mirror."""

    files: dict[str, tuple[str, int]]
    known: dict[tuple[str, str], Known]
    trashed: set[str] = attrs.field(factory=set)
    ids: Iterable[int] = attrs.field(factory=lambda: itertools.count(100))

    def listed(self) -> list[RemoteFile]:
        return [remote(id_, name, content) for id_, (name, content) in self.files.items()]

    def upload(self, name: str, content: int) -> str:
        taken = {key_of((), other) for other, _ in self.files.values()}
        stem, _, end = name.rpartition(".")
        numbered = (f"{stem}({n}).{end}" for n in itertools.count(1))
        free = next(
            one for one in itertools.chain([name], numbered) if key_of((), one) not in taken
        )
        id_ = str(next(iter(self.ids)))
        self.files[id_] = free, content
        return id_

    def carry_out(self, plan: Plan, here: dict[tuple[str, str], LocalFile], steps: int) -> None:
        """Carry out a number of steps of a plan, like the run does, then stop."""
        self.known = dict(plan.known)
        owners = {record.file_id: key for key, record in self.known.items()}
        # The service numbers a name that is taken: an unfinished upload may be in another's place.
        listed = [each for each in self.listed() if owners.get(each.file.id, each.key) == each.key]
        held = {each.key for each in listed} & here.keys()
        for _ in itertools.islice(self._steps(plan, here), steps):
            assert held <= {each.key for each in self.listed()}

    def _steps(self, plan: Plan, here: dict[tuple[str, str], LocalFile]) -> Iterable[str]:
        for entry in plan.result.entries:
            if entry.action is MirrorAction.TRASH:
                self._trash(entry.file_id)
                yield "trashed"
                continue
            if entry.action is not MirrorAction.FINISH:
                file = here[entry.key]
                id_ = self.upload(file.name, file.size)
                later = Known(id_, file.size, file.written_ns, str(file.size))
                before = self.known.get(entry.key, Known(""))
                self.known[entry.key] = before.followed_by(later)
                yield "uploaded"
            record = self.known[entry.key]
            self.files[record.file_id] = entry.name, self.files[record.file_id][1]
            yield "named"
            for old in record.replaces:
                self._trash(old)
                yield "trashed"
            self.known[entry.key] = attrs.evolve(record, replaces=())

    def _trash(self, id_: str) -> None:
        del self.files[id_]  # an error if it was trashed before
        self.trashed.add(id_)


@given(
    here=st.dictionaries(NAMES, CONTENTS, max_size=5),
    there=st.lists(st.tuples(NAMES, CONTENTS), max_size=6),
    changes=st.lists(st.dictionaries(NAMES, CONTENTS, max_size=5), max_size=2),
    delete=st.booleans(),
    stops=st.lists(st.integers(0, 12), max_size=4),
)
@example(
    here={"b.png": 2, "a(1).png": 2, "b(1).png": 1},
    there=[("a(1).png", 1), ("b.png", 1)],
    changes=[],
    delete=False,
    stops=[1, 4],
)
def test_every_plan_makes_the_folders_equal_no_matter_where_it_was_stopped(
    here: dict[str, int],
    there: list[tuple[str, int]],
    changes: list[dict[str, int]],
    delete: bool,
    stops: list[int],
) -> None:
    world = World({str(n): file for n, file in enumerate(there)}, {})
    strangers = set(world.files)
    seen: set[Key] = set()
    for now in [here, *changes]:
        files = {key_of((), name): local(name, size) for name, size in now.items()}
        seen |= files.keys()
        for steps in [*stops, 1000]:
            plan = decide(files.values(), world.listed(), world.known, delete=delete)
            world.carry_out(plan, files, steps)
        by_id = {each.file.id: each for each in world.listed()}
        for key, file in files.items():
            mine = by_id[world.known[key].file_id]
            assert mine.file.size == file.size
            assert any(each.key == key for each in by_id.values())
            assert mine.key == key or (not delete)
        if delete:
            assert sorted(each.key for each in by_id.values()) == sorted(files)
        else:
            for id_ in strangers & world.trashed:
                assert key_of((), there[int(id_)][0]) in seen
        again = decide(files.values(), world.listed(), world.known, delete=delete)
        assert again.result.entries == ()
        assert again.result.equal == len(files)
        stops = []


def test_results_are_counted() -> None:
    done = MirrorEntry(MirrorAction.UPLOAD, "a.png", done=True)
    result = MirrorResult((done, attrs.evolve(done, done=False)))
    assert result.count(MirrorAction.UPLOAD) == 2
    assert result.count(MirrorAction.UPLOAD, done=True) == 1
    assert result.count(MirrorAction.TRASH) == 0
