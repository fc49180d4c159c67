"""The tail of the log in memory."""

from msgspec.structs import replace

from phaseline.app.changes import Commit
from phaseline.watch.tail import Tail
from tests.watch.world import COMPLETED, PAUSED, PENDING, RUNNING, WORKSPACE, Database, change, key


def filled(*commits: Commit, head: int = 0, max_revisions: int = 100) -> Tail:
    tail = Tail(head, max_revisions=max_revisions)
    for commit in commits:
        tail.append(commit)
    return tail


def revisions(tail: Tail, id: str, *, root: str = "", after: int = 0, limit: int = 99) -> list[int]:
    entries = tail.entries_of(
        key(id), root_execution_id=root, after=after, until=tail.head, limit=limit
    )
    return [entry.revision for entry in entries]


def test_it_holds_what_was_committed_past_its_floor() -> None:
    database = Database()
    before = database.commit(change("a"))
    tail = filled(database.commit(change("a", RUNNING)), head=before.revision)
    assert tail.holds(1, 2)
    assert not tail.holds(0, 2)
    assert not tail.holds(1, 3)
    assert revisions(tail, "a") == [2]


def test_it_lets_go_of_the_oldest_when_there_are_too_many() -> None:
    database = Database()
    tail = filled(*(database.commit(change("a")) for _ in range(40)), max_revisions=32)
    assert tail.head == 40
    assert 7 < tail.floor < 12
    assert revisions(tail, "a") == list(range(tail.floor + 1, 41))
    assert len(list(tail.folded(WORKSPACE, after=tail.floor, until=40, past=(0, "")))) == 1


def test_it_lets_go_of_the_oldest_when_they_are_too_large() -> None:
    database = Database()
    tail = Tail(0, max_bytes=10_000)
    for _ in range(40):
        tail.append(database.commit(change("a")))
    assert 20 < tail.floor < 40


def test_what_counts_is_how_large_they_are() -> None:
    labels = {"text": "x" * 5_000}
    for spec, floor in ({}, 0), ({"labels": labels}, 12):
        database, tail = Database(), Tail(0, max_bytes=50_000)
        for at in range(20):
            tail.append(database.commit(change(f"e-{at}", spec=spec)))
        assert tail.floor == floor


def test_one_commit_that_is_too_large_leaves_nothing() -> None:
    database = Database()
    tail = Tail(0, max_bytes=1_000)
    tail.append(database.commit(change("a"), change("b"), change("c")))
    assert tail.floor == tail.head == 1
    assert revisions(tail, "a") == []


def test_a_revision_that_is_missing_lifts_the_floor() -> None:
    database = Database()
    first, _, third = (database.commit(change("a")) for _ in range(3))
    tail = filled(first, third)
    assert (tail.floor, tail.head) == (2, 3)
    assert revisions(tail, "a", after=2) == [3]


def test_a_commit_that_it_has_changes_nothing() -> None:
    database = Database()
    first, second = database.commit(change("a")), database.commit(change("a"))
    assert revisions(filled(first, second, first), "a") == [1, 2]


def test_it_knows_the_last_revision_of_an_execution() -> None:
    database = Database()
    tail = filled(database.commit(change("a")), database.commit(change("b")))
    assert [tail.last_revision(key(id)) for id in ("a", "b", "c")] == [1, 2, 0]


def test_it_has_the_newest_version_of_an_execution_only() -> None:
    database = Database()
    tail = filled(database.commit(change("a")), database.commit(change("a")))
    newest = database.commits[-1].entries[0].parts[0]
    assert tail.version(key("a"), 2) == newest
    assert tail.version(key("a"), 1) is None
    assert tail.version(key("b"), 2) is None


def test_a_tree_is_the_execution_and_all_below_it_in_order() -> None:
    database = Database()
    tail = filled(
        database.commit(change("root")),
        database.commit(change("m", spec={"ancestor_execution_ids": ("root",)})),
        database.commit(change("z", spec={"ancestor_execution_ids": ("root", "m")})),
        database.commit(change("alone")),
        database.commit(change("z"), change("root"), change("m"), change("alone")),
    )
    tree = tail.entries_of(key("root"), root_execution_id="root", after=0, until=5, limit=99)
    assert [(entry.revision, entry.key.execution_id) for entry in tree] == [
        (1, "root"),
        (2, "m"),
        (3, "z"),
        (5, "m"),
        (5, "root"),
        (5, "z"),
    ]
    assert revisions(tail, "m", root="root") == [2, 3, 5, 5]
    assert revisions(tail, "m") == [2, 5]


def test_a_commit_is_never_cut_by_the_limit() -> None:
    database = Database()
    child = {"ancestor_execution_ids": ("root",)}
    tail = filled(
        database.commit(change("root"), change("a", spec=child), change("b", spec=child)),
        database.commit(change("a")),
    )
    assert revisions(tail, "root", root="root", limit=2) == [1, 1, 1]


def test_nothing_past_the_end_of_a_range_is_returned() -> None:
    database = Database()
    tail = filled(*(database.commit(change("a")) for _ in range(3)))
    found = tail.entries_of(key("a"), after=0, until=2, limit=9)
    assert [entry.revision for entry in found] == [1, 2]


def test_what_was_purged_is_gone() -> None:
    """An older version in memory would tell for a while what was erased."""
    database = Database()
    tail = filled(database.commit(change("a")), database.commit(change("a", COMPLETED)))
    before = tail.generation
    commit = database.commit(change("a"))
    purged = tuple(
        replace(entry, execution=replace(entry.execution, is_purged=True))
        for entry in commit.entries
        if entry.execution is not None
    )
    tail.append(replace(commit, entries=purged))
    assert (tail.floor, tail.head) == (2, 3)
    assert revisions(tail, "a", after=2) == [3]
    assert tail.generation > before


def test_a_fold_tells_where_an_execution_came_from_and_what_was_left_out() -> None:
    database = Database()
    tail = filled(
        database.commit(change("a")),
        database.commit(change("a", RUNNING)),
        database.commit(change("a", PAUSED), change("b")),
        database.commit(change("a", COMPLETED)),
    )
    folds = list(tail.folded(WORKSPACE, after=1, until=4, past=(0, "")))
    assert [(fold.entry.revision, fold.entry.key.execution_id) for fold in folds] == [
        (3, "b"),
        (4, "a"),
    ]
    of_b, of_a = folds
    assert (of_a.status_before, of_a.entry.status_after) == (PENDING, COMPLETED)
    assert of_a.passed == {RUNNING, PAUSED}
    assert of_a.left_out == 2
    assert (of_b.status_before, of_b.left_out) == (None, 0)


def test_a_fold_ends_where_it_is_told_and_goes_on_where_it_was() -> None:
    database = Database()
    tail = filled(
        database.commit(change("a"), change("b")),
        database.commit(change("a", RUNNING)),
        database.commit(change("b", RUNNING)),
    )

    def folded(until: int, past: tuple[int, str]) -> list[tuple[int, str]]:
        folds = tail.folded(WORKSPACE, after=0, until=until, past=past)
        return [(fold.entry.revision, fold.entry.key.execution_id) for fold in folds]

    assert folded(1, (0, "")) == [(1, "a"), (1, "b")]
    assert folded(1, (1, "a")) == [(1, "b")]
    assert folded(2, (0, "")) == [(1, "b"), (2, "a")]
    assert folded(2, (1, "b")) == [(2, "a")]


def test_workspaces_do_not_see_each_other() -> None:
    database = Database()
    tail = filled(database.commit(change("a"), workspace_id="other"), database.commit(change("a")))
    folds = tail.folded(WORKSPACE, after=0, until=2, past=(0, ""))
    assert [fold.entry.revision for fold in folds] == [2]
    assert revisions(tail, "a") == [2]


def test_all_versions_share_one_execution() -> None:
    """The phases of every version would take more room than what is sent of them."""
    database = Database()
    tail = filled(database.commit(change("a")), database.commit(change("a", RUNNING)))
    first, second = tail.entries_of(key("a"), after=0, until=2, limit=9)
    assert first.execution is second.execution is not None
