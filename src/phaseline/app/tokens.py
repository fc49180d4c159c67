"""Opaque tokens: what callers get back from us, and hand us again unread."""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

T = TypeVar("T")

_MAC_SIZE = 12


class Signer:
    """
    Writes and reads tokens that nobody else can make.

    A token is unreadable in the sense that callers must not read it, not in the sense that they
    could not; it holds no secrets.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, value: object) -> str:
        """Return *value* as a token."""
        body = msgspec.msgpack.encode(value)
        return urlsafe_b64encode(self._mac(body) + body).rstrip(b"=").decode()

    def read(self, token: str, form: type[T]) -> T:
        """Return the value in *token*; raise `ValueError` if it is not ours or of another form."""
        try:
            raw = urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
            mac, body = raw[:_MAC_SIZE], raw[_MAC_SIZE:]
        except (binascii.Error, UnicodeEncodeError) as error:
            raise ValueError("is no token of this server") from error
        if not hmac.compare_digest(mac, self._mac(body)):
            raise ValueError("is no token of this server")
        try:
            return msgspec.msgpack.decode(body, type=form)
        except msgspec.MsgspecError as error:
            raise ValueError("is a token for something else") from error

    def _mac(self, body: bytes) -> bytes:
        # blake2b is keyed by design, which spares the two passes of HMAC on this hot path.
        return hashlib.blake2b(body, key=self._secret, digest_size=_MAC_SIZE).digest()


def digest_of(value: object) -> bytes:
    """Return a digest of a msgspec value, to tell whether two are the same."""
    body = msgspec.json.encode(value, order="deterministic")
    return hashlib.blake2b(body, digest_size=8).digest()
