"""Faults made from outside, on the real binary: the failure table row by row (ARCHITECTURE.md), where test_kill.py,
test_powercut.py and test_the_whole_way.py don't have it already.

What a test of this file wants is always the same: nothing that was acknowledged is lost, a sentence says what to do, and after
the fault is gone everything goes on and arrives.

Disks are ext4 images on a loop device (root is needed for that; skipped otherwise). Clocks and free space lie through
Tests/Bench/lies.c."""

import contextlib
import datetime
import hashlib
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

import pytest
from bench import BIN, LONG, Bench, CommandFailed, eventually
from test_powercut import preload

SEED = int(os.environ.get("ESS_SEED", "20261121"))
MEGABYTE = 1_000_000


# The nurse's side


def session(field, name="ttySIM0"):
    [device] = [d for d in field.cli("devices", "--json") if d["name"] == name]
    return device.get("session")


def acknowledged(field):
    """Samples that the agent says are stored, of the running session's only recording."""
    recordings = (session(field) or {"recordings": []})["recordings"]
    return recordings[0]["samples"] if recordings else 0


def start_live(field, samples=60):
    """Returns the recording after at least so many samples were acknowledged, and how many."""
    field.wait_for_device()
    recording = field.cli("start", "ttySIM0", "--json")["recordings"][0]["recording"]
    return recording, eventually("samples are stored", lambda: (n := acknowledged(field)) >= samples and n)


def held(field, recording):
    return max(channel["samples"] for channel in field.cli("recording", recording, "--json")["channels"])


def view(field, recording):
    return next(r for r in field.recordings() if r["id"] == recording)


def notes(field, recording, kind=None):
    return [n for n in field.cli("recording", recording, "--json")["notes"] if kind is None or n["kind"] == kind]


def open_first_visit(field):
    visit = field.visits()[0]["id"]
    field.cli("visit", "open", visit)
    return visit


def close_visit(field):
    if any(visit["status"] == "open" for visit in field.visits()):
        field.cli("visit", "close")


def everything_arrives(field):
    """The visit closes, the server comes back, and all is there once."""
    close_visit(field)
    if field.server.process.poll() is not None:
        field.start_server()
    eventually("everything is frozen", lambda: all(
        r["documents"] or r.get("supersededBy") or r.get("visit") is None or r["originalBytes"] == 0
        for r in field.recordings()), seconds=75)
    files = field.synced()
    documents = [d["id"] for r in field.recordings() for d in r["documents"]]
    assert len(documents) == len(set(documents)) and set(documents) == set(files)
    return files


def refusal(call, *arguments, **more):
    with pytest.raises(CommandFailed) as refused:
        call(*arguments, **more)
    return refused.value


def serve_and_fail(field, *wrapper, seconds=30):
    """Starts a daemon that should not come up; its status and what it says to the administrator."""
    done = subprocess.run(
        [*map(str, wrapper), BIN / "ess-agent", "serve", "--config", field.config], capture_output=True, text=True,
        timeout=seconds)
    return done.returncode, done.stderr


LONGER = pytest.mark.skipif(not LONG, reason="a close relative of the case beside it: with ESS_LONG")


# Disks


class Volume:
    """An ext4 file system of its own: 3 GB that cost nothing, because only what is written takes room in the image."""

    def __init__(self, directory, mount_point):
        self.image = pathlib.Path(directory) / "volume.img"
        self.at = pathlib.Path(mount_point)
        self.mounted = False
        if os.geteuid() != 0:
            pytest.skip("mounting a disk of its own needs root")
        if not all(map(shutil.which, ("mkfs.ext4", "mount", "umount", "fsck.ext4"))):
            pytest.skip("no mkfs.ext4, fsck.ext4 or mount")
        with open(self.image, "wb") as image:
            image.truncate(3_000 * MEGABYTE)
        subprocess.run(
            ["mkfs.ext4", "-q", "-m", "0", "-b", "4096", "-J", "size=8", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
             self.image], check=True)
        self.at.mkdir(mode=0o700, exist_ok=True)
        self.mount()

    def mount(self, options="errors=remount-ro"):
        done = subprocess.run(["mount", "-o", f"loop,{options}", self.image, self.at], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a loop device can't be mounted here: {done.stderr.strip()}")
        self.mounted = True
        if "ro" not in options.split(","):
            self.at.chmod(0o700)

    @property
    def device(self):
        for line in pathlib.Path("/proc/mounts").read_text().splitlines():
            device, where, *_ = line.split()
            if where == str(self.at.resolve()):
                return device.removeprefix("/dev/")
        raise AssertionError("not mounted")

    def free(self):
        facts = os.statvfs(self.at)
        return facts.f_bavail * facts.f_frsize

    def leave(self, bytes):
        """Takes everything but so much."""
        for n in range(8):
            excess = self.free() - bytes
            if excess <= 4096:
                break
            with open(self.at / "ballast", "ab") as ballast:
                size = os.fstat(ballast.fileno()).st_size
                while excess > 4096:
                    try:
                        os.posix_fallocate(ballast.fileno(), size, excess)
                        break
                    except OSError:
                        excess //= 2
        assert self.free() <= bytes + 65_536, self.free()

    def make_room(self):
        (self.at / "ballast").unlink()
        os.sync()
        assert self.free() > 2_000 * MEGABYTE

    def fails(self):
        """The kernel finds an error and makes the file system read-only, as it does with a dying disk."""
        trigger = pathlib.Path(f"/sys/fs/ext4/{self.device}/trigger_fs_error")
        try:
            trigger.write_text("test")
        except OSError as error:
            pytest.skip(f"this kernel can't be made to find an ext4 error: {error}")
        with pytest.raises(OSError):
            (self.at / "probe").touch()

    def repair(self):
        self.unmount()
        done = subprocess.run(["fsck.ext4", "-fy", self.image], capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stdout
        self.mount()

    def unmount(self):
        if not self.mounted:
            return
        for _ in range(100):
            if subprocess.run(["umount", self.at], capture_output=True).returncode == 0:
                self.mounted = False
                return
            time.sleep(0.05)
        # Somebody still holds it: it goes when they do.
        subprocess.run(["umount", "-l", self.at], check=True)
        self.mounted = False


@pytest.fixture
def volume(bench):
    volume = None
    try:
        volume = Volume(bench.directory, bench.state)
        yield volume
    finally:
        for program in bench.programs:
            if program.process.poll() is None:
                program.kill()
        if volume is not None:
            volume.unmount()


class Lies:
    def __init__(self, directory):
        self.library = preload("lies", directory)
        self.path = pathlib.Path(directory) / "lies"
        self.tell()

    def tell(self, **lies):
        """wall, boot: milliseconds; space: bytes. Nothing: the truth."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text("".join(f"{name} {value}\n" for name, value in lies.items()))
        fresh.rename(self.path)

    @property
    def environment(self):
        return {"LD_PRELOAD": str(self.library), "ESS_LIES": str(self.path)}


@pytest.fixture
def lies(bench):
    return Lies(bench.directory)


class Disk:
    """A laptop in the field whose state lies on a disk that a test can fill, in one of two ways."""

    def __init__(self, field, volume, lies, way):
        self.field, self.volume, self.lies, self.way = field, volume, lies, way

    def fill(self):
        if self.way == "reserve":
            # The agent's own last reserve: it ends while it can still seal properly.
            self.volume.leave(20 * MEGABYTE)
        else:
            # The room is gone between a look and the write (or there is a quota): SQLite meets ENOSPC.
            self.lies.tell(space=10_000 * MEGABYTE)
            self.volume.leave(0)

    def make_room(self):
        self.volume.make_room()
        self.lies.tell()

    def restart(self):
        self.field.agent.kill()
        self.field.start_agent(environment=self.lies.environment)


@pytest.fixture(params=[pytest.param("reserve", marks=LONGER), "kernel"])
def disk(request, bench, volume, lies):
    bench.make_server()
    bench.start_server()
    bench.name_port()
    bench.configure()
    bench.start_agent(environment=lies.environment)
    bench.wait_for_visits()
    bench.server.kill()
    return Disk(bench, volume, lies, request.param)


ROOM = "Libérez de la place"


def test_disk_fills_during_a_live_capture(disk):
    field = disk.field
    field.plug_oximeter()
    open_first_visit(field)
    recording, stored = start_live(field)
    disk.fill()
    ended = eventually("the capture ends, visibly", lambda: (s := session(field)) and not s["running"] and s)
    assert ROOM in ended["problem"]["text"]
    stored = max(stored, ended["recordings"][0]["samples"])
    assert held(field, recording) >= stored
    # The device is looked at again; nothing new starts, and it is said why.
    field.wait_for_device()
    refused = refusal(field.cli, "start", "ttySIM0")
    assert refused.status == 1 and ROOM in refused.error
    assert field.agent.process.poll() is None
    disk.make_room()
    second, more = start_live(field)
    field.cli("stop", "ttySIM0")
    if disk.way == "kernel":
        # Not even the seal could be written. That it needs a restart is test_what_could_not_be_sealed_is_sealed_later's.
        disk.restart()
    sealed = view(field, recording)
    assert sealed["state"] == "interrupted" and sealed["endReason"] in ("storageFailed", "agentStopped")
    assert held(field, recording) >= stored and held(field, second) >= more
    everything_arrives(field)


@pytest.mark.parametrize("disk", ["kernel"], indirect=True)
def test_what_could_not_be_sealed_is_sealed_later(disk):
    field = disk.field
    field.plug_oximeter()
    open_first_visit(field)
    recording, _ = start_live(field)
    disk.fill()
    eventually("the capture ends", lambda: not session(field)["running"])
    disk.make_room()
    # Another capture shows that the store works again.
    start_live(field)
    field.cli("stop", "ttySIM0")
    eventually("the first one is sealed", lambda: view(field, recording)["state"] == "interrupted", seconds=8)


def test_a_disk_that_gets_short_never_stops_what_runs(bench, volume):
    bench.make_server()
    bench.start_server()
    bench.name_port()
    bench.configure()
    bench.start_agent()
    bench.wait_for_visits()
    bench.plug_oximeter()
    open_first_visit(bench)
    recording, _ = start_live(bench)
    volume.leave(1_500 * MEGABYTE)
    assert "libérez de la place" in bench.cli("status", "--json")["sentence"]
    volume.leave(400 * MEGABYTE)
    then = acknowledged(bench)
    eventually("it goes on", lambda: acknowledged(bench) >= then + 120)
    volume.leave(60 * MEGABYTE)
    then = acknowledged(bench)
    eventually("it still goes on", lambda: acknowledged(bench) >= then + 120)
    assert session(bench)["running"]
    bench.cli("stop", "ttySIM0")
    assert view(bench, recording)["state"] == "complete"
    # Nothing new below 500 MB; what is there is sent all the same.
    bench.wait_for_device()
    for refused in (refusal(bench.cli, "start", "ttySIM0"), refusal(bench.cli, "download", "ttySIM0")):
        assert ROOM in refused.error
    everything_arrives(bench)


def test_disk_fills_during_a_download(disk):
    field = disk.field
    field.plug_oximeter("--night-seconds", "20000")
    open_first_visit(field)
    field.wait_for_device()
    download = subprocess.Popen(
        [BIN / "ess-agent", "download", "ttySIM0", "--config", field.config], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True)
    try:
        stored = eventually("a part of the night is stored", lambda: (n := acknowledged(field)) >= 1200 and n)
        recording = session(field)["recordings"][0]["recording"]
        disk.fill()
        _, said = download.communicate(timeout=60)
    finally:
        if download.poll() is None:
            download.kill()
            download.wait()
    assert download.returncode == 1 and ROOM in said
    stored = max(stored, acknowledged(field))
    assert stored < 20_000 and held(field, recording) >= stored
    disk.make_room()
    field.wait_for_device()
    again = field.cli("download", "ttySIM0", "--json")["recordings"]
    assert [(r["state"], r["samples"]) for r in again] == [("complete", 20_000)]
    if disk.way == "kernel":
        disk.restart()
    part = view(field, recording)
    assert part["state"] == "interrupted" and part["supersededBy"] == again[0]["recording"]
    assert len(everything_arrives(field)) == 2


def test_disk_is_full_at_an_import(disk):
    field = disk.field
    open_first_visit(field)
    card = field.make_card()
    disk.fill()
    try:
        told = str(field.cli("import", card, "--json"))
    except CommandFailed as failure:
        told = failure.output + failure.error
    assert ROOM in told
    assert field.recordings() == []
    disk.make_room()
    imported = field.cli("import", card, "--json")
    assert imported["failed"] == [] and len(imported["imported"]) >= 1
    everything_arrives(field)


@pytest.mark.parametrize("disk", ["reserve"], indirect=True)
def test_a_full_disk_is_not_called_a_damaged_file(disk):
    """She would throw the card away."""
    field = disk.field
    open_first_visit(field)
    card = field.make_card()
    disk.fill()
    try:
        told = str(field.cli("import", card, "--json"))
    except CommandFailed as failure:
        told = failure.output + failure.error
    assert "endommagé" not in told


def test_disk_is_full_at_freezing(disk):
    field = disk.field
    field.plug_oximeter("--night-seconds", "3000")
    field.wait_for_device()
    recording = field.cli("download", "ttySIM0", "--json")["recordings"][0]["recording"]
    visit = field.visits()[0]["id"]
    disk.fill()
    try:
        field.cli("attribute", recording, visit)
    except CommandFailed as refused:
        assert disk.way == "kernel" and ROOM in refused.error
    else:
        # Attributed, and then there is no room for the documents: it waits, and the status says why.
        eventually("it is tried", lambda: "could not freeze" in field.agent.text())
        assert view(field, recording)["documents"] == []
        assert ROOM.lower() in field.cli("status", "--json")["sentence"].lower()
    assert held(field, recording) == 3000
    disk.make_room()
    if view(field, recording).get("visit") is None:
        field.cli("attribute", recording, visit)
    # Whatever the nurse does next; by itself within a minute.
    field.cli("visit", "open", visit)
    assert len(everything_arrives(field)) == 2


def test_disk_is_full_during_upload(disk):
    field = disk.field
    open_first_visit(field)
    for number in range(3):
        field.cli("import", field.make_card("--number", str(number + 1)))
    close_visit(field)
    eventually("all is frozen", lambda: all(r["documents"] for r in field.recordings()))
    disk.fill()
    field.start_server()
    if disk.way == "reserve":
        # Twenty megabytes are enough for receipts: sending goes on, it frees the laptop in the end.
        field.synced()
    else:
        eventually("it is tried, and said", lambda: "full" in field.agent.text())
        for recording in field.recordings():
            for document in recording["documents"]:
                # A receipt that could not be kept isn't shown.
                assert document["state"] != "received" or document["receipt"]["matches"]
        assert field.agent.process.poll() is None
    disk.make_room()
    everything_arrives(field)


def test_start_on_a_full_disk(disk):
    field = disk.field
    field.plug_oximeter()
    open_first_visit(field)
    recording, stored = start_live(field)
    field.agent.kill()
    disk.fill()
    try:
        field.start_agent(environment=disk.lies.environment)
    except AssertionError:
        # Not able to start is allowed when it says what to do, and not again and again (exit 78: systemd leaves it).
        assert ROOM in field.agent.text(), field.agent.text()[-500:]
    else:
        assert held(field, recording) >= stored
    if field.agent.process.poll() is None:
        field.agent.kill()
    disk.make_room()
    field.start_agent(environment=disk.lies.environment)
    assert view(field, recording)["state"] == "interrupted" and held(field, recording) >= stored
    everything_arrives(field)


# Read-only


@pytest.fixture
def on_volume(bench, volume):
    bench.make_server()
    bench.start_server()
    bench.name_port()
    bench.configure()
    bench.start_agent()
    bench.wait_for_visits()
    bench.server.kill()
    return bench


def test_disk_becomes_read_only_while_recording(on_volume, volume):
    field = on_volume
    field.plug_oximeter()
    open_first_visit(field)
    recording, stored = start_live(field)
    volume.fails()
    ended = eventually("the capture ends, visibly", lambda: (s := session(field)) and not s["running"] and s)
    assert ended["problem"]["key"] == "storage" and ended["problem"]["text"]
    stored = max(stored, ended["recordings"][0]["samples"])
    assert field.agent.process.poll() is None
    field.agent.kill()
    volume.repair()
    field.start_agent()
    assert view(field, recording)["state"] == "interrupted" and held(field, recording) >= stored
    everything_arrives(field)


def test_start_on_a_read_only_disk(on_volume, volume):
    field = on_volume
    open_first_visit(field)
    imported = field.cli("import", field.make_card(), "--json")["imported"]
    assert field.agent.stop() == 0
    volume.unmount()
    volume.mount("ro")
    status, said = serve_and_fail(field)
    volume.unmount()
    volume.mount()
    field.start_agent()
    assert {r["id"] for r in field.recordings()} == set(imported)
    everything_arrives(field)
    assert status != 0 and "ess-agent: " in said and "disque" in said


def test_a_read_only_disk_is_called_so(bench, volume):
    bench.port = 1  # nobody listens
    bench.configure(server_ca=None, client_certificate=None, client_key=None)
    bench.start_agent()
    assert bench.agent.stop() == 0
    volume.unmount()
    volume.mount("ro")
    _, said = serve_and_fail(bench)
    # For a person: what is wrong, in French, and not only a number.
    assert re.search(r"lecture seule|inscriptible", said), said


@pytest.fixture
def foreign_directory(bench):
    """What the agent says, run by somebody who may not write to its state directory."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("running the agent as another user needs root and setpriv")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    bench.port = 1  # nobody listens
    bench.configure(server_ca=None, client_certificate=None, client_key=None)
    for directory in (bench.directory, bench.laptop):
        directory.chmod(0o777)
    bench.config.chmod(0o644)
    if subprocess.run([*nobody, BIN / "ess-agent", "--version"], capture_output=True).returncode:
        pytest.skip("another user can't run these binaries (a private directory?)")
    bench.state.mkdir(mode=0o755)
    return serve_and_fail(bench, *nobody)


def test_state_directory_of_somebody_else_is_left_alone(bench, foreign_directory):
    status, said = foreign_directory
    assert status != 0 and "ess-agent: " in said
    assert list(bench.state.iterdir()) == []


def test_state_directory_of_somebody_else_is_told(bench, foreign_directory):
    status, said = foreign_directory
    # What to do: which directory, whose; restarting doesn't help.
    assert str(bench.state) in said and re.search(r"droit|inscriptible|propriétaire|accès", said), said
    assert status == 78


# Keys


def contents(directory):
    """Every file, and of the database every row: SQLite counts openings in its header and leaves an empty WAL or none."""
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
        if path.name != "lock" and not path.name.startswith("ess-agent.sqlite")}
    with tempfile.TemporaryDirectory() as aside:
        for path in directory.glob("ess-agent.sqlite*"):
            shutil.copy(path, aside)
        with contextlib.closing(sqlite3.connect(f"{aside}/ess-agent.sqlite")) as database:
            found["rows"] = hashlib.sha256("\n".join(database.iterdump()).encode()).hexdigest()
    return found


def opens_again(copy):
    copy.start_agent()
    for recording in (copy.night, *copy.cards):
        assert held(copy, recording) > 0


def test_wrong_master_key_changes_nothing(copy):
    before = contents(copy.state)
    key = copy.laptop / "other.key"
    key.write_bytes(random.Random(SEED).randbytes(32))
    key.chmod(0o600)
    copy.configure(master_key=key)
    status, said = serve_and_fail(copy)
    assert status == 78 and "autre clé" in said and "master-key" in said
    assert contents(copy.state) == before
    copy.configure()
    opens_again(copy)


class Keyless:
    """A start without the key, which then comes back."""

    def __init__(self, copy, where):
        self.key = copy.state / "master.key"
        if where == "configured":
            elsewhere = copy.laptop / "the.key"
            self.key.rename(elsewhere)
            copy.configure(master_key=elsewhere)
            self.key = elsewhere
        aside = copy.laptop / "aside"
        self.key.rename(aside)
        before = contents(copy.state)
        self.status, self.said = serve_and_fail(copy)
        self.changed = contents(copy.state) != before
        self.key.unlink(missing_ok=True)
        aside.rename(self.key)


@pytest.mark.parametrize("where", ["default", "configured"])
def test_missing_master_key_opens_nothing(copy, where):
    keyless = Keyless(copy, where)
    assert keyless.status != 0 and "ess-agent: " in keyless.said
    opens_again(copy)


@pytest.mark.parametrize("where", ["default", "configured"])
def test_missing_master_key_is_told_and_not_replaced(copy, where):
    """A new key would hide that the old one is needed: without it nothing can be read ever again."""
    keyless = Keyless(copy, where)
    assert keyless.status == 78 and str(keyless.key) in keyless.said and "clé" in keyless.said, keyless.said
    assert not keyless.changed


class BadKey:
    def __init__(self, copy, what):
        self.key = copy.state / "master.key"
        right = self.key.read_bytes()
        if what == "short":
            self.key.write_bytes(right[:31])
        elif what == "long":
            self.key.write_bytes(right + b"\n")
        else:
            self.key.chmod(0o644)
        before = contents(copy.state)
        self.status, self.said = serve_and_fail(copy)
        assert contents(copy.state) == before
        self.key.write_bytes(right)
        self.key.chmod(0o600)


BAD_KEYS = ["short", "long", "open to everybody"]


@pytest.mark.parametrize("what", BAD_KEYS)
def test_unusable_master_key_changes_nothing(copy, what):
    bad = BadKey(copy, what)
    assert bad.status != 0 and "ess-agent: " in bad.said
    opens_again(copy)


@pytest.mark.parametrize("what", BAD_KEYS)
def test_unusable_master_key_is_told(copy, what):
    bad = BadKey(copy, what)
    assert bad.status == 78 and str(bad.key) in bad.said and "clé" in bad.said, bad.said


# A damaged database


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """A laptop whose agent has ended, with recordings that wait: one of nobody, two that are ready to be sent."""
    bench = Bench()
    try:
        bench.make_server()
        pristine = bench.directory / "pristine"
        shutil.copytree(bench.server_directory, pristine)
        bench.start_server()
        bench.name_port()
        bench.configure()
        bench.start_agent()
        bench.wait_for_visits()
        bench.server.kill()
        bench.plug_oximeter("--night-seconds", "5000")
        bench.wait_for_device()
        bench.night = bench.cli("download", "ttySIM0", "--json")["recordings"][0]["recording"]
        open_first_visit(bench)
        bench.cards = [
            bench.cli("import", bench.make_card("--number", str(n)), "--json")["imported"][0] for n in (1, 2)]
        bench.cli("visit", "close")
        eventually("two are frozen", lambda: sum(bool(r["documents"]) for r in bench.recordings()) == 2)
        bench.documents = {r["id"]: r["documents"] for r in bench.recordings()}
        assert bench.agent.stop() == 0
        wal = bench.state / "ess-agent.sqlite-wal"
        assert not wal.exists() or wal.stat().st_size == 0
        yield bench
    finally:
        bench.close()


@pytest.fixture
def copy(stock, bench):
    shutil.copytree(stock.state, bench.state)
    for name in ("ca.pem", "client.pem", "client.key"):
        shutil.copy(stock.laptop / name, bench.laptop / name)
    shutil.copytree(stock.directory / "pristine", bench.server_directory)
    bench.configure()
    bench.night, bench.cards, bench.documents = stock.night, stock.cards, stock.documents
    return bench


class Database:
    """The file, as SQLite's and as bytes."""

    def __init__(self, bench):
        self.path = bench.state / "ess-agent.sqlite"
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            [self.page_size] = database.execute("PRAGMA page_size").fetchone()
        # Whoever opened it may have left these.
        for end in ("-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        self.bytes = bytearray(self.path.read_bytes())

    def ask(self, sql, *arguments):
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?immutable=1", uri=True)) as database:
            return database.execute(sql, arguments).fetchall()

    def offset(self, content):
        """Where these bytes are: a stretch from their middle."""
        stretch = bytes(content[len(content) // 2:len(content) // 2 + 24])
        at = self.bytes.find(stretch)
        assert at > 0, "not found in one piece"
        return at

    def root(self, name):
        [[page]] = self.ask("SELECT rootpage FROM sqlite_master WHERE name = ?", name)
        return (page - 1) * self.page_size

    def overwrite_page(self, offset, rng):
        start = offset // self.page_size * self.page_size
        self.bytes[start:start + self.page_size] = rng.randbytes(self.page_size)

    def save(self):
        self.path.write_bytes(self.bytes)


def damage(copy, what):
    """Damages the file at one place; returns the recordings that can't be whole any more."""
    database, rng = Database(copy), random.Random(SEED)
    print(f"ESS_SEED={SEED}")
    [[samples]] = database.ask(
        "SELECT decoded FROM chunk WHERE recording = ? ORDER BY n LIMIT 1 OFFSET 1", copy.night)
    victims = set()
    if what == "a bit of the samples":
        database.bytes[database.offset(samples)] ^= 0x10
        victims = {copy.night}
    elif what == "a page of the samples":
        database.overwrite_page(database.offset(samples), rng)
        victims = {copy.night}
    elif what == "the index of the samples":
        database.overwrite_page(database.root("sqlite_autoindex_chunk_1"), rng)
        # The rows are there; a new index finds them.
    elif what in ("a bit of a document", "a page of a document"):
        # Its recording is intact: what was never tried to be sent can be built anew.
        artefact = next(d["id"] for d in copy.documents[copy.cards[0]] if d["role"] == "original")
        [[part]] = database.ask("SELECT bytes FROM document_part WHERE document = ? ORDER BY n LIMIT 1", artefact)
        if what.startswith("a bit"):
            database.bytes[database.offset(part)] ^= 0x10
        else:
            database.overwrite_page(database.offset(part), rng)
        victims = {copy.cards[0]}
    elif what == "the audit":
        database.overwrite_page(database.root("audit"), rng)
    elif what == "a recording's notes":
        database.overwrite_page(database.root("note"), rng)
    elif what == "the list of recordings":
        database.overwrite_page(database.root("recording"), rng)
        victims = {copy.night, *copy.cards}
    elif what == "the first page":
        database.overwrite_page(0, rng)
        victims = {copy.night, *copy.cards}
    elif what == "all behind half of the samples":
        # As a file system leaves a file whose end it lost. Some samples stay, wherever SQLite put its tables.
        stretches = [bytes(b[len(b) // 2:len(b) // 2 + 24]) for [b] in database.ask("SELECT decoded FROM chunk")]
        places = sorted(at for at in map(database.bytes.find, stretches) if at > 0)
        middle = places[(len(places) - 1) // 2]
        del database.bytes[(middle // database.page_size + 1) * database.page_size:]
        victims = {copy.night, *copy.cards}
    database.save()
    return victims


def told_of_damage(bench):
    """A person reads the status; an administrator reads the log."""
    status = bench.cli("status", "--json")
    attention = [r.get("attention") or "" for r in bench.recordings()]
    if "endommag" in status["sentence"] or any("endommag" in text for text in attention):
        return True
    return any(
        re.search(r"^\S+ (warning|error|critical) .*(damage|malformed|corrupt)", line)
        for line in bench.agent.text().splitlines())


@pytest.mark.parametrize("what", [
    "a bit of the samples",
    pytest.param("a page of the samples", marks=LONGER),
    "the index of the samples",
    pytest.param("a bit of a document", marks=LONGER),
    "a page of a document",
    "the audit",
    "a recording's notes"])
def test_damage_is_told_and_the_rest_is_saved(copy, what):
    victims = damage(copy, what)
    copy.start_agent()
    healthy = {copy.night, *copy.cards} - victims
    assert {r["id"] for r in copy.recordings()} == {copy.night, *copy.cards}
    for recording in healthy:
        assert held(copy, recording) > 0
    # The nurse goes on with her day.
    copy.cli("attribute", copy.night, copy.visits()[0]["id"])
    copy.start_server()
    copy.cli("sync")

    def sent(recording):
        documents = view(copy, recording)["documents"]
        return documents and all(d["state"] == "received" for d in documents)

    eventually("the healthy ones are sent", lambda: all(map(sent, healthy)), seconds=12)
    eventually("the damage is told", lambda: told_of_damage(copy), seconds=10)
    assert copy.agent.process.poll() is None
    assert copy.agent.stop() == 0
    # And again: no loop of crashes.
    copy.start_agent()
    assert {r["id"] for r in copy.recordings()} == {copy.night, *copy.cards}


BEYOND = ["the list of recordings", "the first page", "all behind half of the samples"]


def still_there(copy, blobs):
    """How many of the sealed samples a specialist would still find."""
    # A file whose rows were copied is kept beside the new one.
    content = b"".join(path.read_bytes() for path in sorted(copy.state.glob("ess-agent.sqlite*")))
    return sum(blob[len(blob) // 2:len(blob) // 2 + 24] in content for blob in blobs)


@pytest.mark.parametrize("what", BEYOND)
def test_a_file_beyond_repair_is_told_and_left_alone(copy, what):
    samples = [row[0] for row in Database(copy).ask("SELECT decoded FROM chunk")]
    damage(copy, what)
    before = still_there(copy, samples)
    assert before > 0
    for _ in range(2):
        try:
            copy.start_agent()
        except AssertionError:
            assert "endommag" in copy.agent.text()
        else:
            assert told_of_damage(copy)
            copy.agent.kill()
        assert still_there(copy, samples) == before


@pytest.mark.parametrize("what", [BEYOND[0], *(pytest.param(what, marks=LONGER) for what in BEYOND[1:])])
def test_a_file_beyond_repair_makes_no_loop(copy, what):
    damage(copy, what)
    with contextlib.suppress(AssertionError):
        copy.start_agent()
    assert copy.agent.process.poll() in (None, 78), copy.agent.text()


# Packets that get lost


@LONGER
def test_a_lost_byte_in_a_download_is_stated(field):
    open_first_visit(field)
    field.plug_oximeter("--night-seconds", "2000", "--faults", "lost-byte")
    field.wait_for_device()
    try:
        recordings = field.cli("download", "ttySIM0", "--json")["recordings"]
    except CommandFailed:
        recordings = session(field)["recordings"]
    assert recordings and recordings[0]["samples"] > 1000
    recording = recordings[0]["recording"]
    gaps = notes(field, recording, "gap")
    assert gaps and "lost" in gaps[0]["text"]
    assert held(field, recording) < 2000
    assert view(field, recording)["state"] == "interrupted"
    everything_arrives(field)


def test_a_lost_byte_in_a_live_capture_is_stated(field):
    open_first_visit(field)
    field.plug_oximeter("--live", "--faults", "lost-byte")
    recording, _ = start_live(field, samples=240)
    field.cli("stop", "ttySIM0")
    gaps = notes(field, recording, "gap")
    assert gaps and "lost" in gaps[0]["text"] and gaps[0]["at"] is not None
    everything_arrives(field)


@pytest.mark.parametrize("fault", [pytest.param("stalls", marks=LONGER), "switches-off"])
def test_a_device_that_falls_silent_is_interrupted_live(field, fault):
    open_first_visit(field)
    field.plug_oximeter("--live", "--faults", fault)
    recording, stored = start_live(field)
    ended = eventually("the capture ends", lambda: (s := session(field)) and not s["running"] and s, seconds=90)
    assert ended["problem"]["text"]
    sealed = view(field, recording)
    assert sealed["state"] == "interrupted" and sealed["endReason"] in ("deviceGone", "deviceEnded")
    # Two hundred frames came, and all that came is there.
    assert held(field, recording) >= max(stored, 180)
    everything_arrives(field)


@pytest.mark.parametrize("fault", ["stalls", pytest.param("switches-off", marks=LONGER)])
def test_a_device_that_falls_silent_is_interrupted_in_a_download(field, fault):
    open_first_visit(field)
    field.plug_oximeter("--night-seconds", "2000", "--faults", fault)
    field.wait_for_device()
    refused = refusal(field.cli, "download", "ttySIM0", timeout=120)
    assert refused.status == 1
    [part] = session(field)["recordings"]
    assert part["state"] == "interrupted" and 0 < part["samples"] < 2000
    assert held(field, part["recording"]) >= part["samples"]
    # The whole night is fetched from a device that works, and takes the part's place.
    sim = next(p for p in field.programs if "oximeter" in map(str, p.process.args))
    sim.stop()
    eventually("gone from the list", lambda: field.cli("devices", "--json") == [])
    field.plug_oximeter("--night-seconds", "2000")
    field.wait_for_device()
    [whole] = field.cli("download", "ttySIM0", "--json")["recordings"]
    assert (whole["state"], whole["samples"]) == ("complete", 2000)
    assert view(field, part["recording"])["supersededBy"] == whole["recording"]
    assert len(everything_arrives(field)) == 2


@pytest.mark.parametrize("fault", ["split", pytest.param("live-before-storage", marks=LONGER)])
def test_harmless_irregularities_leave_no_trace(field, fault):
    open_first_visit(field)
    field.plug_oximeter("--night-seconds", "2000", "--faults", fault)
    field.wait_for_device()
    [night] = field.cli("download", "ttySIM0", "--json")["recordings"]
    assert (night["state"], night["samples"]) == ("complete", 2000)
    assert notes(field, night["recording"], "gap") == []
    recording, _ = start_live(field)
    field.cli("stop", "ttySIM0")
    assert notes(field, recording, "gap") == [] and view(field, recording)["state"] == "complete"
    everything_arrives(field)


# Time


def test_a_stopped_agent_keeps_what_it_had_and_states_what_it_missed(field):
    open_first_visit(field)
    field.plug_oximeter("--live")
    recording, stored = start_live(field)
    began = time.monotonic()
    field.agent.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(3)  # the fault itself
    finally:
        field.agent.process.send_signal(signal.SIGCONT)
    if session(field)["running"]:
        then = acknowledged(field)
        eventually("it goes on, or ends", lambda: acknowledged(field) >= then + 120 or not session(field)["running"])
        elapsed = time.monotonic() - began
        if session(field)["running"]:
            field.cli("stop", "ttySIM0")
    else:
        elapsed = 0
    sealed, samples = view(field, recording), held(field, recording)
    assert samples >= stored
    complete = samples - stored >= (elapsed - 1.5) * 60  # the kernel and the device kept all of it for us
    assert complete or notes(field, recording, "gap") or sealed["state"] == "interrupted", (samples, stored, elapsed)
    everything_arrives(field)


def test_a_laptop_that_slept_states_the_gap(field, lies):
    """Boot time ran on while the monotonic clock stood still (ARCHITECTURE.md: laptop suspended)."""
    field.agent.stop()
    field.start_agent(environment=lies.environment)
    open_first_visit(field)
    field.plug_oximeter("--live")
    recording, stored = start_live(field)
    lies.tell(boot=3_600_000, wall=3_600_000)
    then = acknowledged(field)
    eventually("it goes on, or ends", lambda: acknowledged(field) >= then + 120 or not session(field)["running"])
    if session(field)["running"]:
        field.cli("stop", "ttySIM0")
    assert held(field, recording) >= stored
    lies.tell()
    assert notes(field, recording, "gap") or view(field, recording)["state"] == "interrupted"


@pytest.mark.parametrize("hours", [-30, pytest.param(30, marks=LONGER)])
def test_the_wall_clock_jumps_while_recording(field, lies, hours):
    field.agent.stop()
    field.start_agent(environment=lies.environment)
    open_first_visit(field)
    field.plug_oximeter("--live")
    recording, stored = start_live(field)
    lies.tell(wall=hours * 3_600_000)
    then = acknowledged(field)
    eventually("it goes on", lambda: acknowledged(field) >= then + 120)
    field.cli("stop", "ttySIM0")
    second, _ = start_live(field)
    field.cli("stop", "ttySIM0")
    for which in (recording, second):
        sealed = view(field, which)
        assert sealed["state"] == "complete"
        # The duration is what the samples say, whatever the wall clock did.
        assert abs(sealed["seconds"] - held(field, which) / 60) < 0.1 and sealed["seconds"] < 60
    assert notes(field, recording, "gap") == []
    facts = [field.cli("recording", which, "--json")["clock"] for which in (recording, second)]
    # The order comes from the monotonic clock of the same boot.
    assert facts[0]["bootID"] == facts[1]["bootID"] and facts[0]["hostMonotonic"] < facts[1]["hostMonotonic"]
    # Found again after a restart, with the clock set right again.
    field.agent.kill()
    lies.tell()
    field.start_agent(environment=lies.environment)
    everything_arrives(field)


def unix_milliseconds(text):
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(("start", "read", "effective"), [
    # The clocks go back at 03:00 that night, and forward at 02:00 the other one: the night keeps its begin and its length.
    ("2026-10-24 23:00:00", "2026-10-25T08:00:00+01:00", ("2026-10-24T23:00:00+02:00", "2026-10-25T04:00:00+01:00")),
    ("2026-03-28 23:00:00", "2026-03-29T08:00:00+02:00", ("2026-03-28T23:00:00+01:00", "2026-03-29T06:00:00+02:00")),
])
def test_a_night_in_which_the_clocks_are_changed(field, lies, start, read, effective):
    field.agent.stop()
    field.start_agent(environment={**lies.environment, "TZ": "Europe/Paris"})
    open_first_visit(field)
    field.plug_oximeter("--night-seconds", "21600", "--start", start)
    field.wait_for_device()
    lies.tell(wall=unix_milliseconds(read) - time.time_ns() // 1_000_000)
    recording = field.cli("download", "ttySIM0", "--json")["recordings"][0]["recording"]
    assert abs(view(field, recording)["seconds"] - 21_600) <= 1
    lies.tell()
    everything_arrives(field)
    references = [entry["resource"] for entry in field.fhir("DocumentReference?_count=50")["entry"]]
    [period] = {tuple(sorted(reference["context"]["period"].items())) for reference in references}
    period = dict(period)
    # Six hours on the device's clock, whatever the clocks on the wall did meanwhile.
    assert tuple(datetime.datetime.fromisoformat(period[side]) for side in ("start", "end")) == tuple(
        datetime.datetime.fromisoformat(text) for text in effective), period
    assert period["start"].endswith(effective[0][-6:]), period


def test_a_wall_clock_that_is_set_back_does_not_hold_up_sending(field, lies):
    """The clock was five hours ahead when the server could not be reached; pauses are not counted in wall-clock time."""
    field.agent.stop()
    lies.tell(wall=5 * 3_600_000)
    field.start_agent(environment=lies.environment)
    open_first_visit(field)
    field.cli("import", field.make_card())
    eventually("attempts failed", lambda: field.agent.text().count("sync step failed") >= 3)
    lies.tell()
    everything_arrives(field)


# The server


def wipe(field):
    """The centre's store is lost and made anew; its certificates and the laptop's stay."""
    field.server.kill()
    shutil.rmtree(field.server_directory / "recordings")
    shutil.rmtree(field.server_directory / "uploads")
    for path in field.server_directory.glob("ess.db*"):
        path.unlink()
    for command in ("init", "seed"):
        subprocess.run([BIN / "ess-server", command, "--directory", field.server_directory], check=True, capture_output=True)


def test_a_server_that_forgot_everything_gets_it_again(field):
    """The epoch is another one: receipts inside the retention time are checked again, what is missing is sent again."""
    open_first_visit(field)
    field.cli("import", field.make_card())
    before = everything_arrives(field)
    documents = [d for r in field.recordings() for d in r["documents"]]
    epochs = {d["receipt"]["storeEpoch"] for d in documents}
    wipe(field)
    field.start_server()
    assert field.server_files() == {}
    field.cli("sync")
    eventually("it is sent again", lambda: field.server_files() == before, seconds=8)
    after = [d for r in field.recordings() for d in r["documents"]]
    assert {d["receipt"]["storeEpoch"] for d in after}.isdisjoint(epochs)
    assert [(d["id"], d["sha256"]) for d in after] == [(d["id"], d["sha256"]) for d in documents]


def test_new_recordings_reach_a_server_that_forgot_everything(field):
    """Whatever becomes of the old ones."""
    open_first_visit(field)
    field.cli("import", field.make_card("--number", "1"))
    everything_arrives(field)
    wipe(field)
    field.start_server()
    field.cli("sync")
    field.cli("visit", "open", field.visits()[1]["id"])
    [fresh] = field.cli("import", field.make_card("--number", "2"), "--json")["imported"]
    field.cli("visit", "close")
    eventually("the new one arrives", lambda: (documents := view(field, fresh)["documents"]) and all(
        d["state"] == "received" and d["id"] in field.server_files() for d in documents), seconds=30)


def test_an_upload_that_was_cut_goes_on_at_once(field):
    open_first_visit(field)
    field.cli("import", field.make_card())
    close_visit(field)
    eventually("frozen", lambda: all(r["documents"] for r in field.recordings()))
    field.start_server("drop-after-bytes=1000")
    eventually("the lane gave up in the middle", lambda: "step=bytes" in field.agent.text(), seconds=30)
    field.server.kill()
    field.start_server()
    field.cli("sync")
    eventually("all is received", lambda: all(
        d["state"] == "received" for r in field.recordings() for d in r["documents"]), seconds=12)
