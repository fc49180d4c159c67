"""Who calls: the bearer token of a call, looked up among the credentials."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from phaseline.app.caller import ANONYMOUS, DEFAULT_WORKSPACE, Caller
from phaseline.domain.errors import Unauthenticated

_SCHEME = "bearer "
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Identity(msgspec.Struct, frozen=True):
    """A caller, and until when its credentials are good; None means for good."""

    caller: Caller = Caller()
    expires_at: datetime | None = None


class Authenticator(Protocol):
    """Knows who makes a call."""

    def identify(self, metadata: Iterable[tuple[str, str | bytes]]) -> Identity:
        """Return who sent *metadata*; raise `Unauthenticated` if nobody can say."""


class Anyone:
    """Takes every caller for the same one: nobody has set up credentials."""

    _ANYONE = Identity()

    def identify(self, metadata: Iterable[tuple[str, str | bytes]]) -> Identity:
        """Return the anonymous caller of the default workspace."""
        return self._ANYONE


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An accepted token, known by its digest only."""

    #: SHA-256 of the token, in hexadecimal.
    token_sha256: str
    workspace_id: str = DEFAULT_WORKSPACE
    subject: str = ANONYMOUS
    #: None means never.
    expires_at: datetime | None = None


class CredentialsError(Exception):
    """A file of credentials cannot be used; the text says why."""


class Tokens:
    """Knows callers by their bearer token."""

    def __init__(self, credentials: Iterable[Credential], *, now: Callable[[], datetime]) -> None:
        self._identities: dict[str, Identity] = {}
        self._now = now
        self.replace(credentials)

    def replace(self, credentials: Iterable[Credential]) -> None:
        """Accept *credentials* from now on, and no others."""
        self._identities = {
            each.token_sha256: Identity(Caller(each.workspace_id, each.subject), each.expires_at)
            for each in credentials
        }

    def identify(self, metadata: Iterable[tuple[str, str | bytes]]) -> Identity:
        """Return who holds the token in *metadata*; raise `Unauthenticated` if nobody does."""
        token = _token_of(metadata)
        if not token:
            raise Unauthenticated('needs metadata "authorization" with "Bearer" and a token')
        # The digest of a secret is what is compared, so that timing tells nothing about the secret.
        identity = self._identities.get(hashlib.sha256(token.encode()).hexdigest())
        if identity is None:
            raise Unauthenticated("the token is not known")
        if identity.expires_at is not None and identity.expires_at <= self._now():
            raise Unauthenticated("the token has expired")
        return identity


def load_credentials(path: Path) -> tuple[Credential, ...]:
    """
    Read a list named `credentials` from a TOML, YAML or JSON file.

    Each has `token_sha256` and may have `workspace_id`, `subject` and `expires_at`. Raises
    `CredentialsError`.
    """
    try:
        document = _parsed(path)
        held = msgspec.convert(document, dict[str, list[Credential]])
    except (OSError, ValueError, YAMLError, msgspec.ValidationError) as error:
        raise CredentialsError(f"{path} holds no credentials: {error}") from error
    if held.keys() != {"credentials"}:
        raise CredentialsError(f'{path} must hold a list named "credentials", and nothing else')
    return tuple(_checked(path, at, each) for at, each in enumerate(held["credentials"]))


def _parsed(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".toml":
            return tomllib.loads(text)
        case ".json":
            return json.loads(text)
        case _:
            return YAML(typ="safe", pure=True).load(text)


def _checked(path: Path, at: int, credential: Credential) -> Credential:
    where = f"{path}: credentials[{at}]"
    digest = credential.token_sha256.lower()
    if not _DIGEST.fullmatch(digest):
        raise CredentialsError(f"{where}.token_sha256 must be 64 hexadecimal digits")
    if not credential.workspace_id or not credential.subject:
        raise CredentialsError(f"{where} must not have an empty workspace_id or subject")
    expires_at = credential.expires_at
    if expires_at is not None and expires_at.tzinfo is None:
        expires_at = expires_at.replace(tzinfo=UTC)
    return msgspec.structs.replace(credential, token_sha256=digest, expires_at=expires_at)


def _token_of(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str):
            if value[: len(_SCHEME)].lower() == _SCHEME:
                return value[len(_SCHEME) :].strip()
            return ""
    return ""
