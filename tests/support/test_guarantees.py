"""Each guarantee refuses the history that breaks it."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from phaseline.domain.errors import InvalidArgument, OutOfRange
from tests.support import guarantees
from tests.support.guarantees import Frame, Seen, Version

OPENED = Frame("opened", "t-0")
SYNCED = Frame("bookmark", "t-1", synced=True)
A1, A2, A3 = (Seen(("a",), revision, "MODIFIED") for revision in (1, 2, 3))
B2 = Seen(("b",), 2, "ADDED")


def sent(*changes: Seen, token: str = "t", folded: int = 0) -> Frame:
    return Frame("change_set", token, changes=changes, folded=folded)


def version(id: str, revision: int, *, was: bool = True, wanted: bool = True) -> Version:
    return Version((id,), revision, was_wanted=was, is_wanted=wanted)


def broken(check: Callable[[], object]) -> None:
    with pytest.raises(AssertionError):
        check()


def test_ordered() -> None:
    guarantees.ordered([[sent(A1, B2)], [sent(A2)]])
    broken(lambda: guarantees.ordered([[sent(A2)], [sent(A1)]]))


def test_in_commit_order() -> None:
    guarantees.in_commit_order([[sent(A3), SYNCED, sent(B2, A3)]])
    broken(lambda: guarantees.in_commit_order([[SYNCED, sent(A3, B2)]]))


def test_unique() -> None:
    guarantees.unique([[sent(A1), sent(A2)]])
    broken(lambda: guarantees.unique([[sent(A1)], [sent(A1)]]))


def test_every_version() -> None:
    log = [version("a", 1), version("a", 2), version("b", 2), version("a", 3)]
    guarantees.every_version([[sent(A1, A2, B2, A3)]], log, after=0)
    guarantees.every_version([[sent(A3)]], log, after=2)
    guarantees.every_version([[sent(A2, B2), SYNCED, sent(A3)]], log)
    broken(lambda: guarantees.every_version([[sent(A1, B2, A3)]], log, after=0))
    broken(lambda: guarantees.every_version([[sent(A1, B2, A3)]], log))
    broken(lambda: guarantees.every_version([[sent(A2, B2)]], log))
    broken(lambda: guarantees.every_version([[sent(A1, A2, A3)]], log))


def test_newest_versions() -> None:
    log = [
        version("a", 1, was=False),
        version("b", 2, was=False),
        version("a", 3),
        version("c", 4, was=False),
        version("c", 5, wanted=False),
    ]
    removed = Seen(("c",), 5, "REMOVED")
    guarantees.newest_versions([[sent(B2, A3, removed)]], log, after=1, had={("a",): 1})
    guarantees.newest_versions([[sent(A3, removed)]], log, after=2, had={("a",): 1, ("b",): 2})
    guarantees.newest_versions([[sent(B2, A3)]], log, after=5)
    broken(lambda: guarantees.newest_versions([[sent(B2, A3)]], log, after=1))
    broken(lambda: guarantees.newest_versions([[sent(B2, A1, removed)]], log, after=0))
    broken(lambda: guarantees.newest_versions([[sent(A3, removed)]], log, after=0))


def test_kinds_fit() -> None:
    added, removed = Seen(("a",), 1, "ADDED"), Seen(("a",), 3, "REMOVED")
    guarantees.kinds_fit([[sent(added, A2, removed)]])
    guarantees.kinds_fit([[sent(removed)]])
    guarantees.kinds_fit([[sent(A2)]], held=[("a",)])
    broken(lambda: guarantees.kinds_fit([[sent(A2)]]))
    broken(lambda: guarantees.kinds_fit([[sent(added)]], held=[("a",)]))


def test_resumable() -> None:
    log = [version("a", 1), version("a", 2)]
    guarantees.resumable([[sent(A1)], [sent(A2)]], log, after=0)
    broken(lambda: guarantees.resumable([[sent(A1)], [sent(A1, A2)]], log, after=0))
    broken(lambda: guarantees.resumable([[sent(A1)], []], log, after=0))


def test_synced() -> None:
    guarantees.synced([OPENED, SYNCED])
    broken(lambda: guarantees.synced([OPENED]))
    broken(lambda: guarantees.synced([SYNCED, SYNCED]))


def test_bookmarked() -> None:
    second = timedelta(seconds=1)
    stream = [Frame("opened", "t", at=0.0), Frame("bookmark", "t", at=1.0)]
    guarantees.bookmarked(stream, second, until=2.0)
    broken(lambda: guarantees.bookmarked(stream, second, until=2.1))
    broken(lambda: guarantees.bookmarked([stream[0], Frame("bookmark", "t", at=1.1)], second))


def test_moved_on() -> None:
    guarantees.moved_on(sent(A1, token="t-1"), Frame("bookmark", "t-2"))
    broken(lambda: guarantees.moved_on(sent(A1, token="t-1"), Frame("bookmark", "t-1")))
    broken(lambda: guarantees.moved_on(sent(A1, token="t-1"), sent(A2, token="t-2")))


def test_trimmed() -> None:
    refused = OutOfRange("no longer kept", metadata={"oldest_revision": "5"})
    guarantees.trimmed(refused, after=3, oldest=5)
    guarantees.trimmed(None, after=4, oldest=5)
    broken(lambda: guarantees.trimmed(None, after=3, oldest=5))
    broken(lambda: guarantees.trimmed(refused, after=4, oldest=5))
    broken(lambda: guarantees.trimmed(refused, after=3, oldest=6))
    broken(lambda: guarantees.trimmed(InvalidArgument("wrong"), after=3, oldest=5))


def test_bounded() -> None:
    guarantees.bounded([sent(*[A1] * 100)])
    broken(lambda: guarantees.bounded([sent(*[A1] * 101)]))
    broken(lambda: guarantees.bounded([Frame("change_set", "t", size=3 * 1024 * 1024)]))


def test_closing() -> None:
    end = Frame("closing", "t", reason="MAX_AGE")
    guarantees.closing([OPENED, end], "MAX_AGE")
    broken(lambda: guarantees.closing([OPENED, end], "DRAINING"))
    broken(lambda: guarantees.closing([OPENED], "MAX_AGE"))
    broken(lambda: guarantees.closing([end, OPENED], "MAX_AGE"))


def test_closes_after_the_last_version() -> None:
    end = Frame("closing", "t", reason="COMPLETED")
    last = Seen(("a",), 3, "MODIFIED", is_terminal=True)
    guarantees.closes_after_the_last_version([[sent(A2, last), end]], ("a",))
    broken(lambda: guarantees.closes_after_the_last_version([[sent(A2), end]], ("a",)))
    broken(lambda: guarantees.closes_after_the_last_version([[sent(A2, last)]], ("a",)))


def test_durable() -> None:
    guarantees.durable([[sent(A2)]], {("a",): 3})
    broken(lambda: guarantees.durable([[sent(A2)]], {("a",): 1}))
    broken(lambda: guarantees.durable([[sent(A2)]], {}))


def test_counted() -> None:
    log = [version("a", 1), version("a", 2), version("a", 3)]
    guarantees.counted([[sent(A3, folded=1)]], log, after=1)
    broken(lambda: guarantees.counted([[sent(A3)]], log, after=1))
    broken(lambda: guarantees.counted([[sent(A3, folded=2)]], log, after=1))


def test_well_formed() -> None:
    guarantees.well_formed([OPENED, sent(A1), SYNCED])
    guarantees.well_formed([])
    broken(lambda: guarantees.well_formed([SYNCED]))
    broken(lambda: guarantees.well_formed([OPENED, OPENED]))
    broken(lambda: guarantees.well_formed([OPENED, sent()]))
    broken(lambda: guarantees.well_formed([OPENED, sent(A1, token="")]))
