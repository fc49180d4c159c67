"""A caller is known by the digest of its token, for as long as the token is good."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from phaseline.app.caller import Caller
from phaseline.domain.errors import Unauthenticated
from phaseline.rpc.auth import (
    Anyone,
    Credential,
    CredentialsError,
    Identity,
    Tokens,
    load_credentials,
)
from tests.support.clock import START, ManualClock

DIGEST = hashlib.sha256(b"s3cret").hexdigest()
ADA = Credential(DIGEST, "acme", "ada", START + timedelta(hours=1))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tokens(clock: ManualClock) -> Tokens:
    return Tokens([ADA], now=clock.now)


def sent(authorization: str | bytes) -> list[tuple[str, str | bytes]]:
    return [("user-agent", "test"), ("authorization", authorization)]


def test_without_credentials_everybody_is_the_same() -> None:
    assert Anyone().identify([]) == Identity(Caller("default", "anonymous"))


@pytest.mark.parametrize("authorization", ["Bearer s3cret", "bearer s3cret", "Bearer  s3cret "])
def test_a_token_says_who_calls(tokens: Tokens, authorization: str) -> None:
    identity = tokens.identify(sent(authorization))
    assert identity == Identity(Caller("acme", "ada"), START + timedelta(hours=1))


@pytest.mark.parametrize(
    "authorization",
    ["", "s3cret", "Basic s3cret", "Bearer", "Bearer ", "Bearer S3CRET", f"Bearer {DIGEST}", b"x"],
)
def test_nothing_else_does(tokens: Tokens, authorization: str | bytes) -> None:
    with pytest.raises(Unauthenticated):
        tokens.identify(sent(authorization))


def test_who_sends_no_token_is_told_how(tokens: Tokens) -> None:
    with pytest.raises(Unauthenticated, match='metadata "authorization"'):
        tokens.identify([])


async def test_a_token_expires(tokens: Tokens, clock: ManualClock) -> None:
    await clock.advance(timedelta(hours=1) - timedelta(microseconds=1))
    tokens.identify(sent("Bearer s3cret"))
    await clock.advance(timedelta(microseconds=1))
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.identify(sent("Bearer s3cret"))


def test_credentials_can_be_replaced(tokens: Tokens) -> None:
    tokens.replace([])
    with pytest.raises(Unauthenticated):
        tokens.identify(sent("Bearer s3cret"))


LINES = {
    "credentials.toml": f"""
        [[credentials]]
        token_sha256 = "{DIGEST.upper()}"
        workspace_id = "acme"
        subject = "ada"
        expires_at = 2026-01-01T01:00:00Z

        [[credentials]]
        token_sha256 = "{"0" * 64}"
    """,
    "credentials.yaml": f"""
credentials:
  - token_sha256: {DIGEST}
    workspace_id: acme
    subject: ada
    expires_at: 2026-01-01T01:00:00Z
  - token_sha256: "{"0" * 64}"
""",
    "credentials.json": json.dumps(
        {
            "credentials": [
                {
                    "token_sha256": DIGEST,
                    "workspace_id": "acme",
                    "subject": "ada",
                    "expires_at": "2026-01-01T01:00:00Z",
                },
                {"token_sha256": "0" * 64},
            ]
        }
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_credentials_are_read_from_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(LINES[name])
    assert load_credentials(path) == (ADA, Credential("0" * 64, "default", "anonymous"))


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    path = tmp_path / "credentials.toml"
    path.write_text(
        f'[[credentials]]\ntoken_sha256 = "{DIGEST}"\nexpires_at = 2026-01-01T01:00:00\n'
    )
    assert load_credentials(path)[0].expires_at == datetime(2026, 1, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", 'must hold a list named "credentials"'),
        ("tokens = []", 'must hold a list named "credentials"'),
        ("credentials = 1", "holds no credentials"),
        ("not toml at all", "holds no credentials"),
        ('[[credentials]]\nsubject = "ada"', "token_sha256"),
        ('[[credentials]]\ntoken_sha256 = "s3cret"', "must be 64 hexadecimal digits"),
        (f'[[credentials]]\ntoken_sha256 = "{DIGEST}"\nsubject = ""', "must not have an empty"),
        (f'[[credentials]]\ntoken_sha256 = "{DIGEST}"\nrole = "x"', "unknown field `role`"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "credentials.toml"
    path.write_text(text)
    with pytest.raises(CredentialsError, match=complaint):
        load_credentials(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="holds no credentials"):
        load_credentials(tmp_path / "credentials.toml")
