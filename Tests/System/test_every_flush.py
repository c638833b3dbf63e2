"""The disk below the store, at every point at which the power may fail: recordings, an import and uploads run on a whole machine while QEMU
logs each write and flush of the disk that the store lies on (blklogwrites). Afterwards the disk is rebuilt as it was at a flush, and of what
came behind it nothing, a beginning, a choice or pieces; its file system is recovered as a boot does it (e2fsck -p), and the real agent is
started on the store that is found. What the laptop had reported as stored by then is there.

Beside the store, on the same disk, sqlite3 writes two databases: one with synchronous=EXTRA, and one with OFF, which must be seen to lose what it
reported. ESS_FLUSHES says how many flushes are looked at (30), ESS_SEED makes other choices.
"""

import os
import random
import shutil
import sqlite3
import subprocess
import time

import field
import guest_tree
import machine
import pytest
from test_powercut import Acknowledged, Bench, Door, Lost, compare_through, ends_sound, write_state
from write_log import WAYS, WriteLog

FLUSHES = int(os.environ.get("ESS_FLUSHES", "30"))
SEED = int(os.environ.get("ESS_SEED", "20261127"))
# Below 500 MB of room no capture begins.
SIZE = "1G"

# Below one mount: the store, and the two databases of the control.
PLACE = """
set -e
systemctl stop ess-agent
mkdir -p /srv/logged && mount /dev/vdb /srv/logged && mkdir /srv/logged/control
cp -a /var/lib/ess-agent /srv/logged/store && mount --bind /srv/logged/store /var/lib/ess-agent && sync
systemctl start ess-agent
"""
# Each transaction changes two pages, and says its number when SQLite says that it is over. With FULL a rollback journal that was deleted may be
# there again after a power cut, and take the last commit back; EXTRA syncs its directory (sqlite.org/pragma.html#pragma_synchronous).
WRITER = r"""#!/bin/bash
cd /srv/logged/control
{
    echo "PRAGMA journal_mode=DELETE; PRAGMA synchronous=$1; CREATE TABLE t (n INTEGER PRIMARY KEY, b TEXT);"
    n=0
    while sleep 0.3; do
        n=$((n + 1))
        echo "BEGIN; INSERT INTO t VALUES ($n, hex(randomblob(2000))); UPDATE t SET b = hex(randomblob(2000)) WHERE n = abs(random()) % $n + 1; COMMIT;"
        echo "SELECT $n;"
    done
} | stdbuf -oL sqlite3 $1.db >/run/$1.said
"""


class Laptop:
    """The machine as `Acknowledged.look` asks it: `cli` and `recordings`."""

    def __init__(self, laptop):
        self.laptop = laptop

    def cli(self, *arguments):
        return self.laptop.agent(*arguments)

    def recordings(self):
        return self.laptop.agent("recordings", "--json")


class Run:
    def __init__(self, image, outside, scratch):
        self.disk = scratch / "store.raw"
        guest_tree.run("mke2fs", "-q", "-t", "ext4", str(self.disk), SIZE)
        self.begin = scratch / "begin.raw"
        guest_tree.run("cp", "--sparse=always", str(self.disk), str(self.begin))
        self.outside = outside
        with machine.machine(scratch, image, logged=self.disk) as laptop:
            laptop.boot()
            self.claims = Acknowledged(self.disk.with_suffix(".log"))
            try:
                self.work(laptop, scratch)
            except machine.GuestFailed as failure:
                said = laptop.sh("journalctl -b --no-pager -n 60 -o short-monotonic _SYSTEMD_UNIT=ess-agent.service + _SYSTEMD_UNIT=init.scope", check=False)
                raise machine.GuestFailed(f"{failure}\n{said}") from None
            laptop.cut_power()
        self.log = WriteLog(self.disk.with_suffix(".log"))

    def look(self, laptop):
        self.claims.look(Laptop(laptop))
        for way in ("EXTRA", "OFF"):
            if said := laptop.sh(f"tail -n 1 /run/{way}.said", check=False).split():
                if said[-1].isdigit():
                    self.claims.claim("control", way, int(said[-1]))

    def work(self, laptop, scratch):
        laptop.sh(PLACE)
        laptop.sh(f"cat > /run/writer <<'END'\n{WRITER}END\nfor way in EXTRA OFF; do systemd-run -q bash /run/writer $way; done")
        laptop.wait("the agent answers", lambda: laptop.agent("status", "--json"))
        laptop.wait("visits came down", lambda: laptop.agent("visits", "--json"))
        visit = laptop.agent("visits", "--json")[0]["id"]
        laptop.agent("visit", "open", visit)
        self.claims.claim("visit", visit, "open")

        rid, safe = field.live_ecg(laptop, self.outside)
        for number in range(2):
            for imported in field.import_card(laptop, self.outside, scratch, number + 1):
                self.claims.claim("samples", imported, 1)
                self.claims.claim("sealed", imported, "complete")
            self.look(laptop)

        # On a busy machine the emulated electrocardiograph falls silent, which ends the recording as a pulled cable does.
        def ended():
            return field.recording(laptop, rid)["state"] != "open"
        laptop.wait("ten seconds are stored", lambda: self.look(laptop) or ended() or safe() >= 8000, 300)
        if not ended():
            laptop.agent("stop", next(d["name"] for d in laptop.agent("devices", "--json") if d.get("driver") == "contec-ecg90a"))
        self.look(laptop)
        laptop.agent("visit", "close")
        self.claims.claim("visit", visit, "closed")

        def received():
            self.look(laptop)
            recordings = laptop.agent("recordings", "--json")
            return all(r["documents"] and all(d["state"] == "received" for d in r["documents"]) for r in recordings)
        laptop.wait("everything is sent", received, 300)
        # The careless database's pages are written back by the kernel in its own time: let it come to that.
        end = time.monotonic() + 20
        laptop.wait("some more", lambda: self.look(laptop) or time.monotonic() > end)
        assert laptop.sh("systemctl show ess-agent -p NRestarts --value").strip() == "0"

    def found(self, place, image):
        """What a boot finds on the disk: files of the store, and the control's databases in a directory."""
        done = subprocess.run(["e2fsck", "-p", str(image)], capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise Lost(f"the file system: {done.stdout}{done.stderr}")
        place.mkdir()
        for directory in ("store", "control"):
            guest_tree.run("debugfs", "-R", f"rdump /{directory} {place}", str(image))
        store = {p.name: p.read_bytes() for p in (place / "store").iterdir() if p.is_file() and not p.name.endswith("-shm")} \
            if (place / "store").exists() else {}
        return store, place / "control"


@pytest.fixture(scope="module")
def run(image, outside, tmp_path_factory):
    return Run(image, outside, tmp_path_factory.mktemp("flushes"))


def examine(run, files, claims):
    """Starts the real agent on what was found; it must have everything that was reported, and no damage."""
    look = Bench()
    try:
        for name in ("ca.pem", "client.pem", "client.key"):
            shutil.copy(run.outside.bench.laptop / name, look.laptop / name)
        look.port = 1  # nobody listens
        write_state(files, look.state)
        look.configure()
        try:
            look.start_agent()
        except AssertionError as failure:
            raise Lost(f"the agent doesn't start: {failure}") from None
        door = Door(look.socket)
        compare_through(door, claims)
        findings = door.ask("/api/doctor?thorough=1")["findings"]
        door.close()
        bad = [f for f in findings if f["level"] == "failure" and f["check"] in ("store", "audit", "key")]
        if bad:
            raise Lost(f"the doctor says: {bad}")
        look.cli("audit", "verify")
        ends_sound(look)
    finally:
        look.close()


def control(directory, way, reported):
    """None when everything that was reported is in the database; else what is wrong."""
    path = directory / f"{way}.db"
    if not path.exists():
        return "it isn't there" if reported else None
    try:
        database = sqlite3.connect(path)
        try:
            problems = [row[0] for row in database.execute("PRAGMA integrity_check")]
            if problems != ["ok"]:
                return f"damaged: {problems[0]}"
            rows = database.execute("SELECT COUNT(*) FROM t WHERE n <= ?", [reported]).fetchone()[0]
            return None if rows == reported else f"{reported - rows} of {reported} are lost"
        finally:
            database.close()
    except sqlite3.DatabaseError as error:
        return f"damaged: {error}"


def chosen(run):
    """Indexes of flushes: some everywhere, and those right behind something that was reported."""
    boundaries = [b for b in run.log.boundaries() if run.claims.before(run.log.requests[b].end)]
    assert len(boundaries) >= FLUSHES, f"only {len(boundaries)} flushes"
    spread = {boundaries[i * (len(boundaries) - 1) // (FLUSHES - 1)] for i in range(FLUSHES)}
    after = []
    for position, *_ in run.claims.claims:
        found = next((b for b in boundaries if run.log.requests[b].end >= position), None)
        if found is not None and found not in spread:
            after.append(found)
    after = sorted(set(after))
    random.Random(SEED).shuffle(after)
    return sorted(spread | set(after[:FLUSHES // 3])), boundaries


def test_what_was_reported_as_stored_is_there_at_every_flush(run, tmp_path):
    points, boundaries = chosen(run)
    every = run.log.boundaries()
    last = run.claims.before(1 << 62)
    print(f"{len(run.log.requests)} requests, {len(every)} flushes, {len(run.claims.claims)} reports; {len(points)} flushes looked at")
    print({kind: len(ids) for kind, ids in last.items()}, last["control"])
    assert len(last["samples"]) >= 3 and len(last["received"]) >= 6, "too little happened"
    failures, careless, careful = [], [], []
    # Rebuilt on and on; what is looked at is a copy of it.
    so_far, applied = tmp_path / "so-far.raw", 0
    guest_tree.run("cp", "--sparse=always", str(run.begin), str(so_far))
    for number, point in enumerate(points):
        with open(so_far, "r+b") as image:
            run.log.apply(image, applied, point + 1)
        applied = point + 1
        way = WAYS[number % len(WAYS)]
        disk, place = tmp_path / "disk.raw", tmp_path / f"found{number}"
        guest_tree.run("cp", "--sparse=always", str(so_far), str(disk))
        behind = next((b for b in every if b > point), len(run.log.requests))
        with open(disk, "r+b") as image:
            run.log.tear(image, point + 1, behind, way, f"{SEED}/{number}")
        claims = run.claims.before(run.log.requests[point].end)
        said = f"flush {number} (request {point} of {len(run.log.requests)}), behind it {way}"
        try:
            files, databases = run.found(place, disk)
            examine(run, files, claims)
            reported = claims.get("control", {})
            if wrong := control(databases, "EXTRA", reported.get("EXTRA", 0)):
                careful.append(f"{said}: {wrong}")
            if wrong := control(databases, "OFF", reported.get("OFF", 0)):
                careless.append(wrong)
        except Lost as loss:
            failures.append(f"{said}: {loss}")
        shutil.rmtree(place, ignore_errors=True)
    print(f"synchronous=OFF on the same disk: {len(careless)} of {len(points)} lost or damaged, e.g. {careless[:3]}")
    assert not failures, f"{len(failures)} of {len(points)}:\n" + "\n".join(failures)
    assert not careful, "the control with EXTRA:\n" + "\n".join(careful)
    assert len(careless) >= len(points) // 4, f"the check sees no loss where it is due: {careless}"


def test_the_check_sees_what_a_lying_disk_loses(run, tmp_path):
    """Flushes that flushed nothing: of the last minutes' writes any half came through. The file system or the store shows it, each time."""
    points, _ = chosen(run)
    start = points[len(points) // 4]
    missed = []
    for number, point in enumerate(points[-4:]):
        disk, place = tmp_path / "disk.raw", tmp_path / f"lies{number}"
        guest_tree.run("cp", "--sparse=always", str(run.begin), str(disk))
        with open(disk, "r+b") as image:
            run.log.apply(image, 0, start + 1)
            run.log.tear(image, start + 1, point + 1, "a choice", f"{SEED}/lies/{number}")
        try:
            files, _ = run.found(place, disk)
            examine(run, files, run.claims.before(run.log.requests[point].end))
            missed.append(f"requests {start} to {point}")
        except Lost as loss:
            print("seen:", str(loss)[:200])
    assert not missed, missed
