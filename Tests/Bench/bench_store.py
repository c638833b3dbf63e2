"""What keeping costs: durable commits beside plain sqlite3 in the same run, eight streams, and a store with 100,000 recordings.

ESS_BENCH_RECORDINGS sets how many (100000); ESS_BENCH_COMMITS the seconds of the first part (5)."""

import contextlib
import json
import os
import pathlib
import random
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

import door
import table
from bench import BIN, Bench, eventually
from test_powercut import preload

RECORDINGS = int(os.environ.get("ESS_BENCH_RECORDINGS", "100000"))
SECONDS = int(os.environ.get("ESS_BENCH_COMMITS", "5"))
# What a sync takes on a laptop's SSD at least; a virtual disk answers in a twentieth of it.
SYNC_MICROSECONDS = 1000


def plain(directory, row_bytes, seconds):
    """The same transactions by sqlite3 alone, nothing coded and nothing sealed: commits a second."""
    path = pathlib.Path(directory) / f"plain-{row_bytes}.sqlite"
    noise = random.Random(1).randbytes(1 << 20)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        for pragma in ("auto_vacuum = INCREMENTAL", "journal_mode = WAL", "synchronous = FULL", "secure_delete = ON",
                       "temp_store = MEMORY", "cell_size_check = ON", "foreign_keys = ON"):
            database.execute(f"PRAGMA {pragma}").fetchall()
        database.executescript("""
            CREATE TABLE recording (uuid TEXT PRIMARY KEY, chunks INTEGER, bytes INTEGER, counts TEXT) STRICT;
            CREATE TABLE chunk (recording TEXT NOT NULL REFERENCES recording (uuid), n INTEGER NOT NULL, first TEXT,
                arrived INTEGER, created INTEGER, decoder TEXT, raw BLOB NOT NULL, decoded BLOB NOT NULL,
                PRIMARY KEY (recording, n)) STRICT;
            INSERT INTO recording VALUES ('0190c5f2-2c00-7000-8000-000000000001', 0, 0, '[0]');""")
        begin, n = time.monotonic(), 0
        while time.monotonic() - begin < seconds:
            at = (n * 7919) % (len(noise) - row_bytes)
            database.execute("BEGIN IMMEDIATE")
            database.execute("SELECT * FROM recording WHERE uuid = '0190c5f2-2c00-7000-8000-000000000001'").fetchone()
            database.execute(
                "INSERT INTO chunk VALUES ('0190c5f2-2c00-7000-8000-000000000001', ?, '[0]', 1, 1, 'x', ?, ?)",
                (n, noise[at:at + row_bytes // 2], noise[at + row_bytes // 2:at + row_bytes]))
            database.execute("UPDATE recording SET chunks = ?, bytes = ?, counts = '[1]'", (n, n))
            database.execute("COMMIT")
            n += 1
        return n / (time.monotonic() - begin)


def devices(rate):
    return "one device" if rate["devices"] == 1 else f"{rate['devices']} devices at once"


def measured(**environment):
    """What the agent's store does, and plain sqlite3 with rows of the same sizes, both in processes with that environment."""
    environment = os.environ | environment
    with tempfile.TemporaryDirectory(prefix="ess-bench-") as directory:
        ours = json.loads(subprocess.run(
            [BIN / "ess-agent", "measure", "--disk", directory, "--seconds", str(SECONDS)], check=True,
            capture_output=True, text=True, env=environment).stdout)

        def beside(size):
            return float(subprocess.run(
                [sys.executable, __file__, "plain", directory, str(size), str(SECONDS)], check=True, capture_output=True,
                text=True, env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)}).stdout)

        return ours, {size: beside(size) for size in {rate["storedBytes"] for rate in ours["sealed"] + ours["coded"]}}


def sealed(ours, beside, disk):
    for rate in ours["sealed"]:
        each, baseline = rate["commits"] / rate["seconds"], beside[rate["storedBytes"]]
        table.row(f"durable commits, sealed, {devices(rate)}, {disk}", each, "/s", baseline=baseline, bound=">= 0.8 of plain sqlite3",
                  holds=each >= 0.8 * baseline, note=f"12 leads of a second each, not coded, {rate['storedBytes']} bytes a row; "
                  "beside: as many bytes, plain, one after the other")


def commits():
    ours, beside = measured()
    sealed(ours, beside, "on this disk as it is")
    for rate in ours["coded"]:
        baseline = beside[rate["storedBytes"]]
        table.row(f"the same, coded and sealed, as they are kept, {devices(rate)}", rate["commits"] / rate["seconds"], "/s", baseline=baseline,
                  note=f"{rate['storedBytes']} bytes a row; a device makes one a second, and the coder's CPU is counted here")
        table.row("bytes of samples and originals made durable", rate["bytes"] / rate["seconds"] / 1e6, "MB/s",
                  baseline=baseline * rate["storedBytes"] / 1e6, note="beside: the bytes that plain sqlite3 wrote")
    table.row("eight streams, from a sample to durable, 99th percentile", 1 + ours["percentile99"] / 1e3, "s",
              bound="<= 1.2 s", holds=ours["percentile99"] <= 200,
              note=f"a block is a second; median {ours['median']:.1f} ms, slowest {ours['slowest']:.1f} ms after it")
    with tempfile.TemporaryDirectory(prefix="ess-bench-") as directory:
        library = preload("slowsync", directory)
        sealed(*measured(LD_PRELOAD=str(library), ESS_SYNC_MICROSECONDS=str(SYNC_MICROSECONDS)),
               f"each sync made {SYNC_MICROSECONDS / 1000:g} ms longer, as on a laptop's SSD")


def multiply(path, count):
    """Straight into the file, in the shape of its one recording. What is sealed in the copies opens nowhere, and is not asked
    for here: the newest recording, the one that waits to be sent, is the real one."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        [(first, begun)] = database.execute("SELECT uuid, begun_at FROM recording").fetchall()
        triggers = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            database.execute(f"DROP TRIGGER {name}")

        def copy(name, **changes):
            table_info = database.execute(f"PRAGMA table_info({name})").fetchall()
            # A lone integer key is the row's number; a part of a longer key is copied.
            is_number = sum(row[5] > 0 for row in table_info) == 1
            columns = [row[1] for row in table_info if not (is_number and row[5] and row[2] == "INTEGER")]
            chosen = ", ".join(changes.get(column, f"t.{column}") for column in columns)
            return f"INSERT INTO {name} ({', '.join(columns)}) SELECT {chosen} FROM copy"

        database.execute("""CREATE TEMP TABLE copy AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?)
            SELECT n, lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-7' || substr(hex(randomblob(2)), 2) || '-8'
                || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))) AS uuid FROM c""", (count,))
        mine = f"t WHERE t.recording = '{first}'"
        database.execute(copy("recording", uuid="copy.uuid", source="'s' || copy.n", begun_at="t.begun_at - copy.n")
                         + f", recording t WHERE t.uuid = '{first}'")
        database.execute(copy("binding", recording="copy.uuid") + f", binding {mine}")
        database.execute(copy("chunk", recording="copy.uuid") + f", chunk {mine} AND t.n = 0")
        database.execute(copy("document", id="copy.uuid || t.role", recording="copy.uuid") + f", document {mine}")
        database.execute(f"""INSERT INTO document_part (document, n, bytes) SELECT copy.uuid || d.role, p.n, p.bytes
            FROM copy, document_part p JOIN document d ON d.id = p.document WHERE d.recording = '{first}' AND p.n = 0""")
        database.execute("INSERT INTO attempt (document) SELECT id FROM document WHERE id NOT IN (SELECT document FROM attempt)")
        database.execute(f"""INSERT INTO outgoing (document, urgency, begun, begun_at, received_at, facts, origin)
            SELECT d.id, 40, r.begun_at, 1, 5, 'final', r.origin FROM document d JOIN recording r ON r.uuid = d.recording
            WHERE d.id NOT IN (SELECT document FROM outgoing)""")
        database.execute("""INSERT INTO receipt (document, sha256, size, stored_at, durability, store_epoch, received_at)
            SELECT document, '', 0, '', 'fsync', 'e', 5 FROM outgoing WHERE received_at IS NOT NULL""")
        for _, sql in triggers:
            database.execute(sql)
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def status(world):
    begin = time.monotonic()
    answer = door.status(world)
    return (time.monotonic() - begin) * 1e3, answer


def started(world):
    """Seconds to READY=1, resident kilobytes a moment later."""
    notify = world.directory / "notify"
    notify.unlink(missing_ok=True)
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(notify))
        listener.settimeout(120)
        begin = time.monotonic()
        process = subprocess.Popen(
            [BIN / "ess-agent", "serve", "--config", world.config], env={**os.environ, "NOTIFY_SOCKET": str(notify)},
            stdout=subprocess.DEVNULL, stderr=open(world.laptop / "agent.log", "ab"))
        while b"READY=1" not in listener.recv(4096):
            pass
        ready = time.monotonic() - begin
    times = sorted(status(world)[0] for _ in range(20))
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    memory = int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1])
    answer = status(world)[1]
    process.terminate()
    process.wait(30)
    return ready, times[len(times) // 2], memory, answer


def hundred_thousand():
    world = Bench()
    try:
        world.make_server()
        world.start_server()
        world.configure(log_level="info")
        world.start_agent()
        visit = world.wait_for_visits()[0]["id"]
        world.server.kill()
        world.cli("visit", "open", visit)
        world.cli("import", world.make_card())
        world.cli("visit", "close")
        eventually("it is prepared", lambda: all(r["documents"] for r in world.recordings()))
        assert world.agent.stop() == 0
        world.configure(log_level="info", server=None, server_ca=None, client_certificate=None, client_key=None)
        empty_ready, _, empty, _ = started(world)
        multiply(world.state / "ess-agent.sqlite", RECORDINGS)
        ready, median, memory, answer = started(world)
        measured = json.loads(subprocess.run(
            [BIN / "ess-agent", "measure", "--config", world.config], check=True, capture_output=True, text=True).stdout)
        size = (world.state / "ess-agent.sqlite").stat().st_size / 1e6
        note = f"{measured['recordings']} recordings, {size:.0f} MB"
        assert measured["recordings"] > RECORDINGS and answer["counts"]["recordings"] > RECORDINGS
        table.row("next thing to send", measured["nextToSend"], "ms", bound="<= 5 ms", holds=measured["nextToSend"] <= 5, note=note)
        table.row("status through the socket, median", median, "ms", bound="<= 50 ms", holds=median <= 50, note=note)
        table.row("start to READY", ready, "s", baseline=empty_ready, bound="<= 1 s", holds=ready <= 1, note=note)
        table.row("memory after 20 looks at the status, growth", (memory - empty) / 1e3, "MB", bound="<= 10 MB over an empty store",
                  holds=memory - empty <= 10_000, note=f"from {empty / 1e3:.0f} MB")
    finally:
        world.close()


def bench():
    commits()
    hundred_thousand()


if __name__ == "__main__" and sys.argv[1:2] == ["plain"]:
    print(plain(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
