"""The ceiling: a server that does nothing but answer, with the same bytes every time."""

from __future__ import annotations

import asyncio
import signal
import sys

import grpc

from phaseline import heap


async def main(port: int, answer: bytes) -> None:
    """Answer every call on *port* with *answer*, until SIGTERM."""

    async def handle(body: bytes, context: object) -> bytes:
        return answer

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(handle)

    class Everything(grpc.GenericRpcHandler):
        def service(
            self, handler_call_details: grpc.HandlerCallDetails
        ) -> grpc.RpcMethodHandler[bytes, bytes]:
            return handler

    server = grpc.aio.server(handlers=(Everything(),), options=(("grpc.so_reuseport", 0),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    # As our own server does, so that what is compared is what each does with a call.
    heap.settle()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), bytes.fromhex(sys.stdin.read())))
