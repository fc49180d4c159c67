"""A scripted server, and clients of it."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from phaseline.client import Client, SyncClient
from tests.client.scripted import AioScript, QuickClock, Script, ThreadScript


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def clock() -> QuickClock:
    return QuickClock()


@pytest.fixture
async def address(script: Script) -> AsyncIterator[str]:
    """The address of a server in this event loop that plays the script."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((AioScript(script),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def client(address: str, clock: QuickClock) -> AsyncIterator[Client]:
    async with Client(address, clock=clock) as client:
        yield client


@pytest.fixture
def blocking_client(script: Script, clock: QuickClock) -> Iterator[SyncClient]:
    """A client of a server of threads that plays the script."""
    with ThreadPoolExecutor(max_workers=4) as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers((ThreadScript(script),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with SyncClient(f"127.0.0.1:{port}", clock=clock) as client:
            yield client
        server.stop(None).wait()
