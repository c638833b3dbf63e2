"""The power fails at any point of download, live capture, import, freezing and upload: what was acknowledged is there.

The fault layer is at file level (Tests/Bench/powercut.c): it traces every write, truncation, sync and change of a name below
the state directory. From the trace, disks are rebuilt as a power cut may leave them: up to a point, with everything that was
synced, and of what was not: nothing, all, a beginning, a choice in any order, or pieces of 512 or 4096 bytes. The real agent
is started on each.

ESS_LONG: 300 states instead of 12. ESS_SEED: the seed that a failed run printed (the choices are the same for the same trace;
the trace itself is a real run's, so it differs a little from run to run)."""

import http.client
import json
import os
import pathlib
import random
import shutil
import socket
import sqlite3
import struct
import subprocess
import tempfile
import threading
import time

import pytest
from bench import LONG, Bench, CommandFailed, eventually

STATES = int(os.environ.get("ESS_POWERCUTS", "300" if LONG else "12"))
SEED = int(os.environ.get("ESS_SEED", "20261121"))
BENCH = pathlib.Path(__file__).resolve().parents[1] / "Bench"


def preload(name, directory):
    """Compiles a library of Tests/Bench; skips where there is no compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "clang", "gcc"))), None)
    if compiler is None:
        pytest.skip("no C compiler (cc, clang): the fault layer can't be built")
    library = pathlib.Path(directory) / f"{name}.so"
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-Wall", "-o", library, BENCH / f"{name}.c", "-ldl", "-lpthread"], check=True)
    return library


# The trace


class Record:
    __slots__ = ("kind", "path", "number", "data", "end")

    def __init__(self, kind, path, number, data, end):
        self.kind, self.path, self.number, self.data, self.end = kind, path, number, data, end


def read_trace(path):
    content = path.read_bytes()
    records, at = [], 0
    while at < len(content):
        kind, _, name, length, number = struct.unpack_from("<BBHIQ", content, at)
        at += 16
        where = content[at:at + name].decode()
        data = content[at + name:at + name + length]
        at += name + length
        assert at <= len(content), "the trace ends in the middle of a record"
        records.append(Record(chr(kind), where, number, data, at))
    return records


# A disk that loses power


class Inode:
    def __init__(self):
        self.durable = bytearray()
        self.pending = []

    def content(self, operations):
        """What was synced, and on top of it these operations."""
        content = bytearray(self.durable)
        for kind, number, data in operations:
            if kind == "T":
                if number <= len(content):
                    del content[number:]
                else:
                    content.extend(bytes(number - len(content)))
            else:
                if len(content) < number:
                    content.extend(bytes(number - len(content)))
                content[number:number + len(data)] = data
        return content

    def sync(self):
        self.durable = self.content(self.pending)
        self.pending = []


class Disk:
    """Follows a trace. A file's content is safe when it was synced; names come and go in order, and are safe when their
    directory was synced, a new file's name also with the file (journalling file systems commit them together)."""

    def __init__(self):
        self.names = {}
        self.changes = []  # of names, in order; the first `safe` of them are on the disk
        self.safe = 0

    def follow(self, record, honours_sync=True):
        kind, path = record.kind, record.path
        if kind == "C":
            self.names[path] = Inode()
            self.changes.append(("C", path, self.names[path]))
        elif kind in "WT":
            # A file that was unlinked while it is open has no name any more, and is of no interest.
            if path in self.names:
                self.names[path].pending.append((kind, record.number, record.data))
        elif kind == "S":
            if path in self.names and honours_sync:
                inode = self.names[path]
                inode.sync()
                born = [i for i, change in enumerate(self.changes) if change[0] == "C" and change[2] is inode]
                self.safe = max(self.safe, born[-1] + 1 if born else 0)
        elif kind == "D":
            if honours_sync:
                self.safe = len(self.changes)
        elif kind == "U":
            self.names.pop(path, None)
            self.changes.append(("U", path, None))
        elif kind in "RL":
            inode = self.names[path]
            self.names[record.data.decode()] = inode
            self.changes.append(("C", record.data.decode(), inode))
            if kind == "R":
                del self.names[path]
                self.changes.append(("U", path, None))
        else:
            raise AssertionError(f"unknown record {kind!r}")

    def crash(self, rng, how):
        """Path -> content, as it may be found."""
        unsafe = len(self.changes) - self.safe
        kept = {"none": 0, "all": unsafe}.get(how, rng.randint(0, unsafe))
        names = {}
        for kind, path, inode in self.changes[:self.safe + kept]:
            if kind == "C":
                names[path] = inode
            else:
                names.pop(path, None)
        return {path: inode.content(choose(inode.pending, rng, how)) for path, inode in names.items()}


WAYS = ["none", "all", "prefix", "any", "torn512", "torn4096"]


def choose(pending, rng, how):
    if how == "none":
        return []
    if how == "all":
        return pending
    if how == "prefix":
        return pending[:rng.randint(0, len(pending))]
    if how == "any":
        return [operation for operation in pending if rng.random() < 0.5]
    size = int(how.removeprefix("torn"))
    pieces = []
    for kind, number, data in pending:
        if kind == "T":
            pieces += [(kind, number, data)] * rng.randint(0, 1)
            continue
        start = number
        while start < number + len(data):
            end = min(number + len(data), (start // size + 1) * size)
            if rng.random() < 0.5:
                pieces.append(("W", start, data[start - number:end - number]))
            start = end
    return pieces


# What was acknowledged


class Acknowledged:
    """Everything that the command line claimed, each with the trace's length after the answer."""

    def __init__(self, trace):
        self.trace = trace
        self.claims = []  # (position, kind, id, value)
        self.lock = threading.Lock()

    def claim(self, kind, id, value):
        with self.lock:
            self.claims.append((self.trace.stat().st_size, kind, id, value))

    def before(self, position):
        """kind -> id -> the last claim; of counts the highest."""
        found = {}
        for where, kind, id, value in self.claims:
            if where <= position:
                known = found.setdefault(kind, {})
                known[id] = max(known.get(id, value), value) if isinstance(value, int) else value
        return found

    def session(self, session):
        for recording in (session or {"recordings": []})["recordings"]:
            self.claim("samples", recording["recording"], recording["samples"])
            if recording["state"] != "open":
                self.claim("sealed", recording["recording"], recording["state"])

    def look(self, field):
        for device in field.cli("devices", "--json"):
            self.session(device.get("session"))
        for recording in field.recordings():
            if recording["state"] != "open":
                self.claim("sealed", recording["id"], recording["state"])
            for document in recording["documents"]:
                self.claim("document", document["id"], document["sha256"])
                if document["state"] == "received":
                    self.claim("received", document["id"], document["sha256"])


class Run:
    """One real run under the layer, from the very first start to the clean end."""

    def __init__(self, directory):
        self.field = Bench()
        field = self.field
        library = preload("powercut", directory)
        trace = pathlib.Path(directory) / "trace"
        trace.touch()
        self.acknowledged = Acknowledged(trace)
        self.environment = {
            "LD_PRELOAD": str(library), "ESS_POWERCUT_DIR": os.path.realpath(field.state), "ESS_POWERCUT_TRACE": str(trace)}
        field.make_server()
        self.pristine = pathlib.Path(directory) / "pristine"
        shutil.copytree(field.server_directory, self.pristine)
        field.start_server()
        field.name_port()
        field.configure()
        field.plug_oximeter("--night-seconds", "4000", "--nights", "2")
        self.work()
        self.records = read_trace(trace)

    def work(self):
        field, acknowledged = self.field, self.acknowledged
        field.start_agent(environment=self.environment)
        for visit in field.wait_for_visits():
            acknowledged.claim("visit", visit["id"], visit["status"])
        visit = field.visits()[0]["id"]
        field.cli("visit", "open", visit)
        acknowledged.claim("visit", visit, "open")
        field.wait_for_device()
        self.while_looking(lambda: acknowledged.session(field.cli("download", "ttySIM0", "--json")))

        acknowledged.session(field.cli("start", "ttySIM0", "--json"))
        for number in range(3):
            card = field.make_card("--number", str(number + 1))
            for recording in field.cli("import", card, "--json")["imported"]:
                acknowledged.claim("samples", recording, 1)
                acknowledged.claim("sealed", recording, "complete")
            acknowledged.look(field)
        self.for_seconds(3)
        field.cli("stop", "ttySIM0")
        acknowledged.look(field)

        # A killed agent's repair is a crash point too.
        field.wait_for_device()
        acknowledged.session(field.cli("start", "ttySIM0", "--json"))
        self.for_seconds(2)
        field.agent.kill()
        field.start_agent(environment=self.environment)
        acknowledged.look(field)

        field.cli("visit", "close")
        acknowledged.claim("visit", visit, "closed")
        self.while_looking(lambda: field.cli("sync", "--wait", "--timeout", "110"))
        acknowledged.look(field)
        assert field.agent.stop() == 0

    def for_seconds(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.acknowledged.look(self.field)
            time.sleep(0.05)

    def while_looking(self, command):
        failures = []

        def work():
            try:
                command()
            except Exception as failure:
                failures.append(failure)

        thread = threading.Thread(target=work)
        thread.start()
        while thread.is_alive():
            self.acknowledged.look(self.field)
            time.sleep(0.05)
        thread.join()
        if failures:
            raise failures[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="ess-powercut-"))
    run = None
    try:
        run = Run(directory)
        yield run
    finally:
        if run is not None:
            run.field.close()
        shutil.rmtree(directory, ignore_errors=True)


# The proof


class Lost(AssertionError):
    """Something that was acknowledged isn't there."""


def write_state(files, directory):
    directory.mkdir(mode=0o700)
    for path, content in files.items():
        if path:
            where = directory / path
            where.write_bytes(content)
            where.chmod(0o600)


def examine(run, files, claims, with_server=False):
    """Starts the real agent on a disk that was found after a power cut, and compares with what was acknowledged."""
    look = Bench()
    try:
        for name in ("ca.pem", "client.pem", "client.key"):
            shutil.copy(run.field.laptop / name, look.laptop / name)
        if with_server:
            shutil.copytree(run.pristine, look.server_directory)
            look.start_server()
            look.server.kill()  # only its port: first the agent is looked at, alone
        else:
            look.port = 1  # nobody listens
        write_state(files, look.state)
        look.configure()
        try:
            look.start_agent()
        except AssertionError as failure:
            raise Lost(f"the agent doesn't start: {failure}") from None
        compare(look, claims)
        if with_server:
            arrive(look)
        ends_sound(look)
    finally:
        look.close()


def ends_sound(look):
    """Ends the agent; the store that it leaves is whole, and nothing in it was found damaged."""
    if look.agent.stop() != 0:
        raise Lost("no clean end")
    with sqlite3.connect(f"file:{look.state}/ess-agent.sqlite?mode=ro", uri=True) as database:
        problems = [row[0] for row in database.execute("PRAGMA integrity_check")]
        problems += [str(row) for row in database.execute("PRAGMA foreign_key_check")]
    database.close()
    if problems != ["ok"]:
        raise Lost(f"damaged: {problems[:5]}")
    damage = [line for line in look.agent.text().splitlines() if "damage=" in line and "damage=0" not in line]
    if damage:
        raise Lost(f"the agent found damage: {damage}")


class Door(http.client.HTTPConnection):
    """The agent's socket: what the command line asks, without starting a program for each question."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, path):
        self.request("GET", path)
        answer = self.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise Lost(f"{path}: {answer.status} {body.decode(errors='replace')}")
        return json.loads(body)


def compare(look, claims):
    door = Door(look.socket)
    try:
        compare_through(door, claims)
    finally:
        door.close()


def compare_through(door, claims):
    recordings = {recording["id"]: recording for recording in door.ask("/api/recordings")}
    for id, samples in claims.get("samples", {}).items():
        if id not in recordings:
            if samples == 0:
                raise Lost(f"recording {id} was begun and is not there")
            raise Lost(f"recording {id} is not there; {samples} samples were acknowledged")
        detail = door.ask(f"/api/recordings/{id}")
        held = max(channel["samples"] for channel in detail["channels"])
        if held < samples:
            raise Lost(f"recording {id} has {held} samples; {samples} were acknowledged")
    for id, recording in recordings.items():
        if recording["state"] == "open":
            raise Lost(f"recording {id} is still open")
    for id, state in claims.get("sealed", {}).items():
        if id not in recordings or recordings[id]["state"] != state:
            raise Lost(f"recording {id} was {state}; now {recordings.get(id)}")
    documents = {document["id"]: document for recording in recordings.values() for document in recording["documents"]}
    for id, sha256 in claims.get("document", {}).items():
        # The first attempt to send may follow at once: bytes that were shown never change.
        if id not in documents or documents[id]["sha256"] != sha256:
            raise Lost(f"document {id} with {sha256} became {documents.get(id)}")
    for id in claims.get("received", {}):
        if documents[id]["state"] != "received" or not documents[id]["receipt"]["matches"]:
            raise Lost(f"the receipt of document {id} is gone")
    visits = {visit["id"]: visit["status"] for visit in door.ask("/api/visits")}
    order = ["planned", "open", "closed"]
    for id, status in claims.get("visit", {}).items():
        if id not in visits or order.index(visits[id]) < order.index(status):
            raise Lost(f"visit {id} was {status}; now {visits.get(id)}")
    nothing_twice(recordings)


def nothing_twice(recordings):
    ids = [document["id"] for recording in recordings.values() for document in recording["documents"]]
    if len(ids) != len(set(ids)):
        raise Lost("a document is there twice")
    originals = [
        document["sha256"] for recording in recordings.values() if not recording.get("supersededBy")
        for document in recording["documents"] if document["role"] == "original"]
    if len(originals) != len(set(originals)):
        raise Lost("two recordings have the same original")


def arrive(look):
    """What had no receipt arrives, once, at a server that knows nothing yet."""
    before = {
        document["id"] for recording in look.recordings() for document in recording["documents"]
        if document["state"] == "received"}
    look.start_server()
    look.wait_for_visits()
    if any(visit["status"] == "open" for visit in look.visits()):
        look.cli("visit", "close")
    eventually("everything is frozen", lambda: all(
        recording["documents"] or recording.get("supersededBy") or recording.get("visit") is None
        or recording["originalBytes"] == 0
        for recording in look.recordings()))
    try:
        # Patient: an upload that waits for a time-out is late, not lost.
        look.cli("sync", "--wait", "--timeout", "150", timeout=180)
    except CommandFailed as failure:
        raise Lost(f"not everything arrives: {failure}") from None
    files = look.server_files()
    documents = [document for recording in look.recordings() for document in recording["documents"]]
    for document in documents:
        if document["state"] != "received":
            raise Lost(f"not sent: {document}")
        if document["id"] not in before and files.get(document["id"]) != (document["size"], document["sha256"]):
            raise Lost(f"the server has other bytes: {document}")
    if set(files) != {document["id"] for document in documents} - before:
        raise Lost("the server has more than the agent")


def points(run, rng, count):
    """Where the power fails: anywhere, and often right before or after a sync, where mistakes live."""
    syncs = [i for i, record in enumerate(run.records) if record.kind in "SD"]
    chosen = []
    for _ in range(count):
        if rng.random() < 0.5:
            chosen.append(min(len(run.records) - 1, max(0, rng.choice(syncs) + rng.randint(-1, 1))))
        else:
            chosen.append(rng.randrange(len(run.records)))
    return sorted(chosen)


def states(run, seed, count, honours_sync=lambda index, point: True):
    """(number, point, way, files) of so many crash states."""
    rng = random.Random(seed)
    chosen = points(run, rng, count)
    plain = honours_sync(0, 0) and honours_sync(len(run.records), len(run.records))
    disk, followed = Disk(), 0
    for number, point in enumerate(chosen):
        if not plain:
            disk, followed = Disk(), 0
        while followed <= point:
            disk.follow(run.records[followed], honours_sync(followed, point))
            followed += 1
        way = rng.choice(WAYS)
        yield number, point, way, disk.crash(random.Random(f"{seed}/{number}"), way)


def test_the_trace_is_the_truth(run):
    """All writes applied give exactly the files that are there: the layer misses nothing."""
    disk = Disk()
    for record in run.records:
        disk.follow(record)
    found = {
        str(path.relative_to(run.field.state)): path.read_bytes() for path in run.field.state.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")}
    rebuilt = {path: bytes(content) for path, content in disk.crash(random.Random(0), "all").items() if path}
    assert set(rebuilt) == set(found)
    for path in found:
        assert rebuilt[path] == found[path], path
    kinds = {kind: sum(record.kind == kind for record in run.records) for kind in "CWTSULRD"}
    print(kinds, len(run.acknowledged.claims), "claims")
    # It did happen under the layer: synced commits, a checkpoint into the database, and the database's creation.
    assert kinds["S"] > 50 and kinds["W"] > 500 and kinds["C"] >= 3
    late = [r for r in run.records[len(run.records) // 4:] if r.kind == "W" and r.path.endswith(".sqlite")]
    assert late, "no checkpoint in the middle of the run"
    everything = run.acknowledged.before(run.records[-1].end)
    assert len(everything["samples"]) >= 6 and len(everything["received"]) >= 10


def test_power_cuts_lose_nothing_that_was_acknowledged(run):
    print(f"ESS_SEED={SEED}")
    failures = []
    for number, point, way, files in states(run, SEED, STATES):
        claims = run.acknowledged.before(run.records[point].end)
        try:
            examine(run, files, claims, with_server=number % 6 == 5)
        except Lost as loss:
            failures.append(f"state {number}: cut after record {point} of {len(run.records)}, {way}: {loss}")
    assert not failures, f"{len(failures)} of {STATES}:\n" + "\n".join(failures)


def test_the_check_can_fail(run):
    """The same with a layer that loses what was synced: each loss must be seen. First everything that was ever written is
    fair game; then only the last syncs before the cut are lies, as with a disk that says it has written what is in its
    cache."""
    print(f"ESS_SEED={SEED}")
    enough = [i for i, r in enumerate(run.records) if len(run.acknowledged.before(r.end).get("samples", {})) >= 3]
    start = enough[0]
    rng = random.Random(SEED + 1)

    missed = []
    for number in range(4):
        point = rng.randrange(start, len(run.records))
        disk = Disk()
        for record in run.records[:point + 1]:
            disk.follow(record, honours_sync=record.path.startswith("master.key"))
        files = disk.crash(rng, "any")
        claims = run.acknowledged.before(run.records[point].end)
        try:
            examine(run, files, claims)
            missed.append(f"no sync honoured, cut after {point}")
        except Lost as loss:
            print("seen:", str(loss)[:200])

    # Right after a claim that grew: everything since the last but one claim is lost, although it was synced.
    growing = growths(run.acknowledged)
    for position, before in rng.sample(growing, 4):
        point = next(i for i, record in enumerate(run.records) if record.end >= position)
        lie_from = next(i for i, record in enumerate(run.records) if record.end >= before)
        disk = Disk()
        for index, record in enumerate(run.records[:point + 1]):
            disk.follow(record, honours_sync=index < lie_from)
        try:
            examine(run, disk.crash(rng, "none"), run.acknowledged.before(run.records[point].end))
            missed.append(f"syncs from {lie_from} to {point} ignored")
        except Lost as loss:
            print("seen:", str(loss)[:200])
    assert not missed, missed


def growths(acknowledged):
    """(position, position of the claim before) of every claim of more samples of one recording than before."""
    last, found = {}, []
    for position, kind, id, value in acknowledged.claims:
        if kind != "samples" or value <= 1:
            continue
        if id in last and last[id][1] < value:
            found.append((position, last[id][0]))
        if id not in last or last[id][1] < value:
            last[id] = (position, value)
    return found
