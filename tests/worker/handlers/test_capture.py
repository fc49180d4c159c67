"""However much is written, both ends are kept and the rest is counted."""

from hypothesis import given
from hypothesis import strategies as st

from phaseline.worker.handlers.capture import Capture

CHUNKS = st.lists(st.binary(max_size=40), max_size=40)


@given(CHUNKS, st.integers(0, 100), st.integers(0, 100))
def test_the_ends_are_those_of_what_was_written(chunks: list[bytes], head: int, tail: int) -> None:
    capture, whole = Capture(head=head, tail=tail), b"".join(chunks)
    for chunk in chunks:
        capture.write(chunk)

    assert capture.size == len(whole)
    assert capture.beginning(len(whole)) == whole[:head]
    assert capture.tail == whole[len(whole) - min(tail, len(whole)) :]


@given(CHUNKS)
def test_memory_stays_bounded(chunks: list[bytes]) -> None:
    capture = Capture(head=10, tail=10)
    for chunk in chunks:
        capture.write(chunk)

    assert len(capture._head) <= 10
    assert len(capture._tail) <= 20


def test_what_fits_is_returned_as_it_is() -> None:
    capture = Capture(head=100, tail=50)
    capture.write(b"hello")

    assert capture.beginning(5) == b"hello"
    assert capture.ends(5) == b"hello"


def test_what_does_not_fit_is_cut_with_a_mark() -> None:
    capture = Capture(head=1000, tail=500)
    for number in range(10_000):
        capture.write(b"%d\n" % number)

    assert capture.beginning(200).startswith(b"0\n1\n2\n")
    assert capture.beginning(200).endswith(b"[cut: the first part of 48890 bytes]\n")
    assert capture.ends(200).startswith(b"0\n1\n2\n")
    assert capture.ends(200).endswith(b"9998\n9999\n")
    assert len(capture.ends(200)) <= 200
