"""The daemon towards systemd: ready when the database is open and repaired, a watchdog that is really fed, clean stop."""

import os
import socket

from bench import eventually


class NotifySocket:
    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(0.05)
        self.messages = []

    def has(self, start):
        try:
            while True:
                self.messages.append(self.socket.recv(4096).decode())
        except TimeoutError:
            pass
        return [m for m in self.messages if m.startswith(start)]


def test_ready_status_watchdog_stopping(bench, tmp_path):
    bench.make_server()
    bench.configure()
    notify = NotifySocket(tmp_path / "notify")
    bench.start_agent(environment={"NOTIFY_SOCKET": notify.path, "WATCHDOG_USEC": "400000"})
    eventually("ready", lambda: notify.has("READY=1"))
    eventually("fed three times", lambda: len(notify.has("WATCHDOG=1")) >= 3)
    status = eventually("a French sentence", lambda: notify.has("STATUS="))
    assert any("Prêt" in line or "visite" in line for line in status)
    assert bench.agent.stop() == 0
    assert notify.has("STOPPING=1")


def test_watchdog_for_another_process_is_not_ours(bench, tmp_path):
    bench.make_server()
    bench.configure()
    notify = NotifySocket(tmp_path / "notify")
    bench.start_agent(
        environment={"NOTIFY_SOCKET": notify.path, "WATCHDOG_USEC": "400000", "WATCHDOG_PID": str(os.getpid())})
    eventually("ready", lambda: notify.has("READY=1"))
    assert bench.agent.stop() == 0


def test_journal_lines_carry_a_priority(bench):
    bench.make_server()
    bench.configure()
    bench.start_agent(environment={"JOURNAL_STREAM": "8:1"})
    bench.agent.stop()
    lines = [line for line in bench.agent.text().splitlines() if line]
    assert lines and all(line[0] == "<" and line[1].isdigit() and line[2] == ">" for line in lines), lines[:3]
