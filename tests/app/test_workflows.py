"""Storing workflows: a changed one is a new version, an unchanged one is none."""

import asyncio
from pathlib import Path

import pytest

from phaseline.app.limits import Limits
from phaseline.app.workflows import Applied
from phaseline.domain.errors import InvalidArgument, NotFound
from phaseline.domain.workflow import WorkflowSpec
from tests.support import make
from tests.support.app import App, opened
from tests.support.make import MINUTE, phase_spec, workflow_spec

ONE, TWO = workflow_spec(1), workflow_spec(2)


async def _apply(app: App, spec: WorkflowSpec, **fields: object) -> tuple[int, bool]:
    applied = await app.workflows.apply(app.caller, spec, **fields)  # type: ignore[arg-type]
    return applied.workflow.version, applied.changed


async def test_a_changed_workflow_becomes_the_next_version(app: App) -> None:
    assert await _apply(app, ONE) == (1, True)
    assert await _apply(app, TWO) == (2, True)
    assert await _apply(app, ONE) == (3, True)


async def test_an_unchanged_workflow_changes_nothing(app: App) -> None:
    await _apply(app, ONE)
    head = app.heard.head
    assert await _apply(app, workflow_spec(1)) == (1, False)
    assert app.heard.head == head


async def test_versions_of_one_batch_follow_one_another(app: App) -> None:
    answers = await asyncio.gather(_apply(app, ONE), _apply(app, ONE), _apply(app, TWO))
    assert list(answers) == [(1, True), (1, False), (2, True)]


async def test_versions_go_on_after_a_restart(app: App, tmp_path: Path) -> None:
    async with opened(tmp_path / "other.db") as one:
        await _apply(one, ONE)
        await _apply(one, TWO)
    async with opened(tmp_path / "other.db") as two:
        assert await _apply(two, TWO) == (2, False)
        assert await _apply(two, ONE) == (3, True)


async def test_every_version_can_be_read(app: App) -> None:
    await _apply(app, ONE)
    await app.clock.advance(MINUTE)
    await _apply(app, TWO)
    latest = await app.workflows.get(app.caller, "flow")
    assert (latest.version, latest.spec) == (2, TWO)
    assert latest.updated_at - latest.created_at == MINUTE
    first = await app.workflows.get(app.caller, "flow", 1)
    assert (first.spec, first.updated_at) == (ONE, first.created_at)
    for name, version in (("nobody", 0), ("flow", 3)):
        with pytest.raises(NotFound) as caught:
            await app.workflows.get(app.caller, name, version)
        assert caught.value.reason == "WORKFLOW_NOT_FOUND"


async def test_a_workflow_is_checked_without_being_stored(app: App) -> None:
    assert await _apply(app, ONE, validate_only=True) == (1, True)
    with pytest.raises(NotFound):
        await app.workflows.get(app.caller, "flow")
    await _apply(app, ONE)
    assert await _apply(app, ONE, validate_only=True) == (1, False)
    assert await _apply(app, TWO, validate_only=True) == (2, True)
    assert (await app.workflows.get(app.caller, "flow")).version == 1


async def test_a_check_is_not_remembered(app: App) -> None:
    await _apply(app, ONE, validate_only=True, request_id="r1", digest=b"d")
    assert await _apply(app, TWO, request_id="r1", digest=b"other") == (1, True)


async def test_a_repeated_request_gets_the_first_answer(app: App) -> None:
    def ask(spec: WorkflowSpec, digest: bytes) -> asyncio.Future[Applied]:
        return asyncio.ensure_future(
            app.workflows.apply(app.caller, spec, request_id="r1", digest=digest)
        )

    first, again = await asyncio.gather(ask(ONE, b"d"), ask(ONE, b"d"))
    assert (first.workflow.version, first.changed) == (again.workflow.version, again.changed)
    await _apply(app, TWO)
    again = await ask(ONE, b"d")
    assert (again.workflow.version, again.changed, again.workflow.spec) == (1, True, ONE)
    with pytest.raises(InvalidArgument):
        await ask(TWO, b"other")


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        (workflow_spec(0), "workflow.phases", "INVALID_FIELD"),
        (workflow_spec(3), "workflow.phases", "INVALID_FIELD"),
        (workflow_spec(output_schema="{"), "workflow.output_schema", "INVALID_SCHEMA"),
        (
            workflow_spec(output_schema='{"$ref": "file:///etc/passwd"}'),
            "workflow.output_schema",
            "INVALID_SCHEMA",
        ),
        (
            workflow_spec([phase_spec("a", prompt="{{b}}")]),
            "workflow.phases[0].prompt",
            "UNKNOWN_PLACEHOLDER",
        ),
    ],
)
async def test_what_is_wrong_is_refused_with_its_field(
    tmp_path: Path, spec: WorkflowSpec, field: str, reason: str
) -> None:
    async with opened(tmp_path / "db", limits=Limits(phases_per_workflow=2)) as app:
        with pytest.raises(InvalidArgument) as caught:
            await _apply(app, spec)
        assert [(each.field, each.reason) for each in caught.value.violations] == [(field, reason)]
        assert await _apply(app, TWO) == (1, True)


async def test_a_workflow_has_a_largest_size(tmp_path: Path) -> None:
    async with opened(tmp_path / "db", limits=Limits(workflow=1000)) as app:
        await _apply(app, workflow_spec(description="x" * 100))
        with pytest.raises(InvalidArgument) as caught:
            await _apply(app, workflow_spec(description="x" * 1000))
        assert [(each.field, each.reason) for each in caught.value.violations] == [
            ("workflow", "PAYLOAD_TOO_LARGE")
        ]


async def test_latest_versions_are_listed_by_name_in_pages(app: App) -> None:
    for name in ("b", "a", "c"):
        await app.apply(workflow_id=name)
    await app.apply(2, workflow_id="b")
    first = await app.workflows.list(app.caller, page_size=2)
    assert [(one.workflow_id, one.version) for one in first.page.workflows] == [("a", 1), ("b", 2)]
    assert first.page.total_size == 3
    second = await app.workflows.list(app.caller, page_size=2, page_token=first.next_page_token)
    assert [one.workflow_id for one in second.page.workflows] == ["c"]
    assert second.next_page_token == ""


async def test_a_page_token_belongs_to_its_list(app: App) -> None:
    for name in ("a", "b"):
        await app.apply(workflow_id=name)
    token = (await app.workflows.list(app.caller, page_size=1)).next_page_token
    await app.start("e1", workflow_id="a")
    for wrong in ("x", token + "x", token[:-2]):
        with pytest.raises(InvalidArgument) as caught:
            await app.workflows.list(app.caller, page_size=1, page_token=wrong)
        assert caught.value.reason == "PAGE_TOKEN_INVALID"
    with pytest.raises(InvalidArgument):
        await app.artifacts.list(app.caller, "e1", page_size=1, page_token=token)
    app.caller = type(app.caller)("other")
    with pytest.raises(InvalidArgument):
        await app.workflows.list(app.caller, page_size=1, page_token=token)


async def test_each_workspace_has_its_own(app: App) -> None:
    await _apply(app, ONE)
    app.caller = type(app.caller)("other")
    assert await _apply(app, TWO) == (1, True)
    assert make.workflow().version == 1
