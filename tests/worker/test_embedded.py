"""A worker in the server's process lives as long as the block that it runs beside."""

import asyncio

import pytest

from phaseline.domain.errors import Unauthenticated
from phaseline.domain.report import Completed
from phaseline.worker.context import Context
from phaseline.worker.embedded import embedded
from phaseline.worker.registry import Registry
from tests.support.clock import turns
from tests.support.source import FakeSource, assignment


@pytest.fixture
def registry() -> Registry:
    registry = Registry()

    @registry.handler("work")
    async def work(context: Context) -> None:
        await asyncio.sleep(0)

    return registry


async def test_leaving_the_block_drains_the_worker(registry: Registry) -> None:
    source = FakeSource()

    async with embedded(source, registry):
        source.offer(assignment())
        await turns(5)

    assert source.outcomes == [Completed()]
    assert source.waiting_polls == 0


async def test_an_exception_ends_the_worker_at_once(registry: Registry) -> None:
    source = FakeSource()

    async def serve() -> None:
        async with embedded(source, registry):
            await turns(5)
            raise LookupError("no port")

    with pytest.raises(BaseExceptionGroup) as caught:
        await serve()
    assert caught.group_contains(LookupError)
    assert source.waiting_polls == 0


async def test_a_worker_that_is_refused_ends_the_block(registry: Registry) -> None:
    source = FakeSource()
    source.lease_errors.append(Unauthenticated("no such token"))

    async def serve() -> None:
        async with embedded(source, registry):
            await asyncio.Event().wait()

    with pytest.raises(BaseExceptionGroup) as caught:
        await serve()
    assert caught.group_contains(Unauthenticated)
