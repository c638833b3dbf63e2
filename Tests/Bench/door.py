"""The agent's own door, asked without a process for each question: that would take the CPU from what is measured."""

import contextlib
import http.client
import json
import socket


class Door(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def status(world):
    with contextlib.closing(Door(world.socket)) as door:
        door.request("GET", "/api/status")
        return json.load(door.getresponse())
