"""Resume tokens: cursors that callers keep for us, unread and unforgeable."""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from phaseline.app.tokens import Signer
from phaseline.domain.errors import InvalidArgument, Reason
from phaseline.domain.ids import Key
from phaseline.watch.cursor import ActiveCursor, TreeCursor
from phaseline.watch.scope import Scope

# Other tokens of this server are signed with the same secret, and begin otherwise.
_TREE = "W"
_ACTIVE = "A"

_DIGEST_SIZE = 8


class _Token(msgspec.Struct, frozen=True, array_like=True):
    mark: str
    epoch: bytes
    #: Of what is watched.
    digest: bytes


class _TreeToken(_Token, frozen=True, array_like=True):
    cursor: TreeCursor
    #: None if the watch may include them or not.
    descendants: bool | None


class _ActiveToken(_Token, frozen=True, array_like=True):
    cursor: ActiveCursor


_Form = TypeVar("_Form", bound=_Token)


class Tokens:
    """Writes and reads the tokens of one database, which has one *epoch* all its life."""

    def __init__(self, signer: Signer, epoch: str) -> None:
        self._signer = signer
        self._epoch = _digest(epoch)

    def of_execution(self, key: Key, revision: int) -> str:
        """Return the token of a watch past *revision*, which may include descendants or not."""
        return self._of_tree(key, None, TreeCursor(revision))

    def of_tree(self, key: Key, descendants: bool, cursor: TreeCursor) -> str:
        """Return the token of a watch of *key* that is at *cursor*."""
        return self._of_tree(key, descendants, cursor)

    def of_active(self, scope: Scope, cursor: ActiveCursor) -> str:
        """Return the token of a watch of *scope* that is at *cursor*."""
        return self._signer.sign(_ActiveToken(_ACTIVE, self._epoch, scope.digest, cursor))

    def read_tree(self, token: str, key: Key, descendants: bool) -> TreeCursor:
        """Return the cursor in *token*; raise `InvalidArgument` if it is not of this watch."""
        found = self._read(token, _TreeToken, _TREE, _digest_of_key(key))
        if found.descendants not in (None, descendants):
            raise invalid_token("is of a watch with another include_descendants")
        return found.cursor

    def read_active(self, token: str, scope: Scope) -> ActiveCursor:
        """Return the cursor in *token*; raise `InvalidArgument` if it is not of this watch."""
        return self._read(token, _ActiveToken, _ACTIVE, scope.digest).cursor

    def _of_tree(self, key: Key, descendants: bool | None, cursor: TreeCursor) -> str:
        digest = _digest_of_key(key)
        return self._signer.sign(_TreeToken(_TREE, self._epoch, digest, cursor, descendants))

    def _read(self, token: str, form: type[_Form], mark: str, digest: bytes) -> _Form:
        try:
            found = self._signer.read(token, form)
        except ValueError as error:
            raise invalid_token(str(error)) from None
        if found.mark != mark:
            raise invalid_token("is a token for something else")
        if found.epoch != self._epoch:
            raise invalid_token("is of another database")
        if found.digest != digest:
            raise invalid_token("is of a watch of something else, or with another filter")
        return found


def invalid_token(description: str) -> InvalidArgument:
    """Return the error for a token that cannot be resumed from."""
    return InvalidArgument.of("resume_token", description, Reason.RESUME_TOKEN_INVALID)


def _digest_of_key(key: Key) -> bytes:
    # No id has a NUL in it.
    return _digest(f"{key.workspace_id}\0{key.execution_id}")


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_SIZE).digest()
