"""What handlers hand over becomes a payload, and what is too long is cut where one can see it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseline.domain.payload import Payload
from phaseline.worker.values import (
    cut_head,
    cut_middle,
    media_type_of,
    payload_of,
    plain,
    shortened,
)

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BYTES = "application/octet-stream"


@pytest.mark.parametrize(
    ("value", "data", "media_type"),
    [
        ("ä", "ä".encode(), TEXT),
        (b"\xff", b"\xff", BYTES),
        (bytearray(b"a"), b"a", BYTES),
        ({"a": [1, None]}, b'{"a":[1,null]}', JSON),
        (3, b"3", JSON),
        (True, b"true", JSON),
    ],
)
def test_a_value_becomes_a_payload(value: object, data: bytes, media_type: str) -> None:
    assert payload_of(value) == Payload(data=data, media_type=media_type)


def test_a_payload_stays_as_it_is() -> None:
    payload = Payload(uri="s3://bucket/key", media_type="video/mp4")
    assert payload_of(payload) is payload


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError):
        payload_of(object())


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b'{"a": 1}\n', JSON),
        (b"42\n", JSON),
        (b"hello", TEXT),
        (b"", TEXT),
        ("größer".encode(), TEXT),
        (b"\xff", BYTES),
        (b"\x00", BYTES),
    ],
)
def test_bytes_tell_what_they_are(data: bytes, media_type: str) -> None:
    assert media_type_of(data) == media_type


def test_a_short_payload_is_not_cut() -> None:
    payload = Payload(data=b"x" * 100, media_type=TEXT)
    assert shortened(payload, 100) is payload


def test_a_long_payload_keeps_its_head_and_says_so() -> None:
    cut = shortened(Payload(data=b"x" * 1000, media_type=TEXT), 200)

    assert cut.data is not None
    assert len(cut.data) <= 200
    assert cut.data.startswith(b"xxx")
    assert cut.data.endswith(b"[cut: the first part of 1000 bytes]\n")
    assert cut.media_type == TEXT


def test_half_a_json_document_is_text() -> None:
    cut = shortened(Payload(data=b'["' + b"x" * 1000 + b'"]', media_type=JSON), 200)
    assert cut.media_type == TEXT


@given(st.text(max_size=400), st.integers(80, 300))
def test_cut_text_stays_text(text: str, limit: int) -> None:
    data = text.encode()

    cut_head(data, limit).decode()
    assert len(cut_head(data, limit)) <= limit


@given(st.text(min_size=100, max_size=400), st.integers(100, 300))
def test_text_cut_in_the_middle_stays_text(text: str, limit: int) -> None:
    data = text.encode()
    cut = cut_middle(data, data[-limit:], limit, len(data))

    cut.decode()
    assert len(cut) <= limit


def test_text_cut_in_the_middle_keeps_both_ends() -> None:
    cut = cut_middle(b"begin" * 100, b"end" * 100, 300, 9999)

    assert cut.startswith(b"beginbegin")
    assert cut.endswith(b"endend")
    assert b"[cut: the first and the last part of 9999 bytes]" in cut


@given(st.text(st.characters(codec=None), max_size=50), st.integers(0, 60))
def test_plain_text_can_always_be_told(text: str, length: int) -> None:
    told = plain(text, length)

    told.encode()
    assert "\0" not in told
    assert len(told) <= length


def test_plain_text_keeps_what_can_be_told() -> None:
    assert plain("größer 🦊", 20) == "größer 🦊"
    assert plain("a\udcffb\0", 20) == "a?b"
