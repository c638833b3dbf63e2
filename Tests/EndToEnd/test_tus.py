"""The bytes lane against a tus server that isn't ours (tuspyserver behind nginx with mTLS), in the mode that tells the truth and in
the one that doesn't: killed in the middle, it says 0, takes everything again behind what it had, and calls that complete."""

import hashlib
import json
import pathlib
import socket
import sys

import pytest
from bench import Program, eventually
from ports import free_port
from region import Front
from test_profiles import all_received, documents, needs, record


class TusServer:
    def __init__(self, bench, mode):
        self.bench, self.mode, self.port = bench, mode, free_port()
        self.directory = bench.directory / "tus"
        self.directory.mkdir()
        self.start()

    def start(self):
        self.program = Program(self.directory / "log", [
            sys.executable, pathlib.Path(__file__).with_name("tus_server.py"), self.port, self.directory, self.mode])
        self.bench.programs.append(self.program)

        def listens():
            assert self.program.process.poll() is None, self.program.text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        eventually("tuspyserver listens", listens)

    def receipts(self):
        return [json.loads(path.read_text()) for path in (self.directory / "done").glob("*.json")]


def region(bench, mode, **settings):
    bench.make_server()
    bench.start_server()
    bench.tus = TusServer(bench, mode)
    to_tus = {path: f"http://127.0.0.1:{bench.tus.port}" for path in ("/files", "/ess/v1/recordings/")}
    bench.front = Front(bench, also=to_tus)
    bench.configure(server=f"https://localhost:{bench.front.port}", **settings)
    bench.start_agent()
    bench.wait_for_visits()


def right(bench):
    found = documents(bench)
    for receipt in bench.tus.receipts():
        content = pathlib.Path(receipt["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == receipt["sha256"]
    assert {r["rid"]: r["sha256"] for r in bench.tus.receipts()} == {d["id"]: d["sha256"] for d in found}


@needs["nginx"]
def test_everything_arrives_at_tuspyserver(bench):
    region(bench, "honest")
    record(bench, numbers=("1", "2"))
    eventually("received", lambda: all_received(bench))
    right(bench)


@needs["nginx"]
@pytest.mark.parametrize("mode", ["honest", "lying"])
def test_tuspyserver_is_killed_in_the_middle(bench, mode):
    region(bench, mode, upload_rate="60k")
    record(bench)
    eventually("in the middle", lambda: any(
        path.is_file() and path.stat().st_size > 20_000 for path in (bench.tus.directory / "files").rglob("*")))
    bench.tus.program.kill()
    bench.tus.start()
    eventually("received", lambda: all_received(bench), seconds=90)
    right(bench)


@needs["nginx"]
def test_tuspyserver_is_killed_between_the_last_byte_and_the_receipt(bench):
    """Complete by its own word, and a receipt that will never be: dropped, sent once more under the same identity, received."""
    region(bench, "dying")
    record(bench)

    def received():
        if bench.tus.program.process.poll() is not None:
            bench.tus.start()
        return all_received(bench)

    found = eventually("received", received, seconds=120)
    assert {path.name for path in bench.tus.directory.glob("died-*")} == {f"died-{d['id']}" for d in found}
    right(bench)
