"""Ports for servers that bind a little later than they are told which one."""

import errno
import pathlib
import random
import socket


def free_port():
    """Nobody's now, and none that the kernel gives to an outgoing connection before the server binds it."""
    lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(10_000, max(lowest, 20_000)), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
    raise OSError(errno.EADDRINUSE, "200 ports are in use")
