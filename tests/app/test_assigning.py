"""What a worker gets of a phase that it has leased."""

from pathlib import Path

from phaseline.app.limits import Limits
from phaseline.domain.payload import Payload, text_payload
from phaseline.domain.report import (
    Completed,
)
from phaseline.domain.workflow import InputSpec
from tests.support import make
from tests.support.app import App, opened
from tests.support.make import MINUTE, SECOND, phase_spec


class TestAssignments:
    """What a worker is given with a lease."""

    async def test_has_all_that_is_needed(self, app: App) -> None:
        specs = [
            phase_spec("a"),
            phase_spec("b", parallel=True),
            phase_spec(
                "c",
                depends_on=("b",),
                prompt="$ARGUMENTS {{topic}} {{a}} {{b}} {{execution_id}} {{workflow_id}}",
                model="m1",
                timeout=MINUTE,
            ),
        ]
        specs[2] = phase_spec("c", prompt=specs[2].prompt, model="m1", timeout=MINUTE)
        await app.apply(specs, inputs=(InputSpec("topic"),))
        await app.start("e1", task="do", inputs={"topic": "{{a}}"}, payload=Payload(b"p"))
        for assigned in await app.lease(2):
            await app.report(assigned, Completed(text_payload(f"<{assigned.phase.phase_id}>")))
        given = await app.lease_one()
        assert given.prompt == "do {{a}} <a> <b> e1 flow"
        assert {name: output.text() for name, output in given.outputs.items()} == {
            "a": "<a>",
            "b": "<b>",
        }
        assert (given.spec.model, given.timeout) == ("m1", MINUTE)
        assert (given.content.task, given.content.payload_data) == ("do", b"p")
        assert given.checkpoint is None
        assert given.remaining_budget_nanos is None

    async def test_has_outputs_of_direct_dependencies_alone(self, app: App) -> None:
        specs = [phase_spec("a"), phase_spec("b"), phase_spec("c", prompt="{{a}}")]
        await app.apply(specs)
        await app.start("e1")
        await app.run(Completed(text_payload("A")))
        await app.run(Completed(Payload(uri="s3://b")))
        given = await app.lease_one()
        assert given.prompt == "A"
        assert dict(given.outputs) == {"b": Payload(uri="s3://b")}

    async def test_has_the_last_checkpoint_of_earlier_attempts(self, app: App) -> None:
        await app.apply([phase_spec(retry_policy=make.EAGER)])
        await app.start("e1")
        for text in ("one", "two"):
            assigned = await app.lease_one()
            await app.report(assigned, checkpoint=text_payload(text))
            await app.report(assigned, make.broken() if text == "one" else make.released())
        assert (await app.lease_one()).checkpoint == text_payload("two")

    async def test_has_the_lesser_of_both_timeouts(self, app: App) -> None:
        await app.apply(
            [phase_spec(timeout=MINUTE, retry_policy=make.EAGER)], run_timeout=2 * MINUTE
        )
        await app.start("e1")
        assert (await app.lease_one()).timeout == MINUTE
        await app.passes(90 * SECOND)
        assert (await app.lease_one()).timeout == 30 * SECOND

    async def test_with_a_prompt_too_large_fails_for_good(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=Limits(prompt=10)) as app:
            await app.apply([phase_spec(prompt="$ARGUMENTS")])
            await app.start("e1", task="x" * 11)
            await app.start("e2", task="x" * 10)
            (assigned,) = await app.lease(2)
            assert assigned.prompt == "x" * 10
            one = await app.get("e1")
            assert one.failure is not None
            assert (one.status, one.failure.code) == ("failed", "PROMPT_TOO_LARGE")

    async def test_that_does_not_fit_into_the_answer_is_given_back(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=Limits(answer=100)) as app:
            await app.apply([phase_spec(prompt="$ARGUMENTS")])
            for number in range(3):
                await app.start(f"e{number}", task="x" * 30)
            assert len(await app.lease(3)) == 1
            assert make.phase(await app.get("e2")).attempt == 0
            assert len(await app.lease(1)) == 1
            assert len(await app.lease(1)) == 1

    async def test_with_a_prompt_that_would_fill_all_memory_fails_before_it_is_filled(
        self, app: App
    ) -> None:
        # 26,000 times a MiB.
        await app.apply([phase_spec("a"), phase_spec("b", prompt="{{a}}" * 26_000)])
        await app.start("e1")
        await app.run(Completed(Payload(b"x" * 1024 * 1024)))
        assert await app.lease() == ()
        one = await app.get("e1")
        assert one.failure is not None
        assert (one.failure.code, one.failure.phase_id) == ("PROMPT_TOO_LARGE", "b")

    async def test_counts_checkpoints_and_configs(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=Limits(answer=30_000)) as app:
            spec = phase_spec(config='{"k": "' + "x" * 5000 + '"}', retry_policy=make.EAGER)
            await app.apply([spec])
            for number in range(4):
                await app.start(f"e{number}")
            # Each takes 4 KiB for itself.
            first = await app.lease(9)
            assert len(first) == 3
            for assigned in first:
                await app.report(assigned, make.released(), checkpoint=Payload(b"x" * 15_000))
            await app.lease_one()
            assert len(await app.lease(9)) == 1

    async def test_leaves_out_the_bytes_of_outputs_that_do_not_fit(self, tmp_path: Path) -> None:
        async with opened(tmp_path / "db", limits=Limits(answer=4096 + 100)) as app:
            await app.apply([phase_spec("a"), phase_spec("b", parallel=True), phase_spec("c")])
            await app.start("e1")
            for _ in range(2):
                await app.run(Completed(Payload(b"x" * 60, media_type="text/x")))
            given = await app.lease_one()
            assert given.outputs["a"].data == b"x" * 60
            assert given.outputs["b"] == Payload(media_type="text/x")
