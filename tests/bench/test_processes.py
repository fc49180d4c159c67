"""What is known of the processes of a measurement."""

import socket

import pytest

from phaseline.bench.processes import free_port, listeners


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:127.0.0.1")]
)
def test_those_who_listen_on_a_port_are_counted(family: int, address: str) -> None:
    port, opened = free_port(), list[socket.socket]()
    for count in range(3):
        assert listeners(port) == count
        one = socket.socket(family)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((address, port))
        one.listen()
        opened.append(one)
    for one in opened:
        one.close()
