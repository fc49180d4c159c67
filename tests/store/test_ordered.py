"""A set in the order of its ranks, against a plain list."""

from hypothesis import given
from hypothesis import strategies as st

from phaseline.store.ordered import Ordered

MEMBERS, RANKS = st.integers(0, 8), st.integers(0, 4)
MOVES = st.lists(st.tuples(MEMBERS, st.none() | RANKS), max_size=300)


@given(moves=MOVES)
def test_it_keeps_the_order_of_the_ranks(moves: list[tuple[int, int | None]]) -> None:
    ordered: Ordered[int] = Ordered()
    expected: dict[int, int] = {}
    for member, rank in moves:
        if rank is None:
            ordered.discard(member)
            expected.pop(member, None)
        else:
            ordered.put(member, rank)
            if expected.get(member) != rank:
                # Put in anew, it comes behind those of its rank.
                expected.pop(member, None)
                expected[member] = rank
        in_order = sorted(expected, key=lambda one: expected[one])
        assert list(ordered) == in_order
        assert ordered.first() == (in_order[0] if in_order else None)
        assert len(ordered) == len(expected)
        assert {one for one in range(9) if one in ordered} == set(expected)
        assert [ordered.rank(one) for one in range(9)] == [expected.get(one) for one in range(9)]


def test_whoever_stops_early_leaves_it_as_it_was() -> None:
    ordered: Ordered[str] = Ordered()
    for rank, member in enumerate("abc"):
        ordered.put(member, rank)
    assert next(iter(ordered)) == "a"
    assert list(ordered) == ["a", "b", "c"]


def test_what_was_taken_out_takes_no_room_for_ever() -> None:
    ordered: Ordered[int] = Ordered()
    ordered.put(-1, -1)
    for rank in range(100_000):
        ordered.put(0, rank)
    assert len(ordered._entries) < 200
