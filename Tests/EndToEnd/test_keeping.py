"""What a team does with its laptops: lends recorders, makes copies and puts them back, changes keys, asks what is wrong, sends
a support bundle, gives a disk away. The real binary; the files are searched from outside, with nothing of ours."""

import contextlib
import io
import json
import os
import random
import shutil
import sqlite3
import subprocess
import tarfile

import pytest
from bench import BIN, CommandFailed, eventually


def refused(call, *arguments):
    with pytest.raises(CommandFailed) as failure:
        call(*arguments)
    return failure.value


def identities(field):
    """Everything that names a patient, as it came down with the worklist."""
    found = set()
    for visit in field.visits():
        patient = visit["patient"]
        found |= {patient["family"], *patient["given"], patient.get("birthDate"), patient.get("ins"), visit.get("place")}
    found = {text for text in found if text and len(text) > 3}
    assert len(found) >= 6, found
    return found


def day(field):
    """A visit with a night from memory, a card and two seconds live. Returns the visit and the recordings."""
    visit = field.visits()[0]["id"]
    field.plug_oximeter("--night-seconds", "1200")
    field.wait_for_device()
    field.cli("visit", "open", visit)
    field.cli("download", "ttySIM0")
    imported = field.cli("import", field.make_card(), "--json")
    assert imported["imported"] and not imported["failed"]
    live = field.cli("start", "ttySIM0", "--json")["recordings"][0]["recording"]
    eventually("live samples are stored", lambda: next(
        r for d in field.cli("devices", "--json") for r in (d.get("session") or {"recordings": []})["recordings"]
        if r["recording"] == live)["samples"] >= 60)
    field.cli("stop", "ttySIM0")
    return visit, [r["id"] for r in field.recordings()]


def closed(field):
    field.cli("visit", "close")
    eventually("all is prepared", lambda: all(r["documents"] for r in field.recordings()))


def everything_on_disk(*directories):
    for directory in directories:
        for path in directory.rglob("*"):
            if path.is_file():
                yield path, path.read_bytes()


def test_a_thief_reads_nothing(field, tmp_path):
    field.agent.stop()
    field.start_agent(environment={"TMPDIR": str(tmp_path)})
    names = identities(field)
    _, recordings = day(field)
    originals = []
    for n, recording in enumerate(recordings):
        path = field.directory / f"original-{n}"
        field.cli("export", recording, "--format", "original", "--output", path)
        originals.append(path.read_bytes())
        path.unlink()

    def search():
        seen = b""
        for path, content in everything_on_disk(field.state, tmp_path):
            seen += content
            for text in names:
                for form in {text, text.upper(), text.lower()}:
                    for encoding in ("utf-8", "latin-1", "utf-16-le"):
                        assert form.encode(encoding, "ignore") not in content, (path.name, text, encoding)
            for original in originals:
                middle = len(original) // 2
                assert original[middle:middle + 20] not in content, path.name
        assert len(seen) > 50_000  # the log is not empty while it runs
        log = field.agent.text()
        assert not [text for text in names if text in log]

    search()
    closed(field)
    search()
    assert field.agent.stop() == 0
    search()


def test_a_loan_wins_and_doubt_says_why(field):
    first, second = [v["id"] for v in field.visits()][:2]
    field.plug_oximeter("--night-seconds", "900")
    serial = field.wait_for_device()["serial"]
    give = field.cli("loan", "give", "ttySIM0", first, "--from", "2020-01-01 00:00:00", "--json")
    assert give["serial"] == serial and not give.get("overlapping")
    field.cli("visit", "open", second)
    field.cli("download", "ttySIM0")
    [night] = field.recordings()
    assert night["visit"] == first and night["binding"] == "loan"
    # A return that was forgotten: two loans at once, and the next night is nobody's.
    again = field.cli("loan", "give", serial, second, "--from", "2020-02-01 00:00:00", "--json")
    assert again["overlapping"] == [give["id"]]
    listed = field.cli("loan", "list", "--json")
    assert [loan["id"] for loan in listed] == [again["id"], give["id"]]
    assert "prêté" in field.cli("loan", "list")
    # By the device: only when it is clear which.
    assert "numéro" in refused(field.cli, "loan", "return", serial).error
    back = field.cli("loan", "return", str(give["id"]), "--until", "2030-01-01 00:00:00", "--json")
    assert back["to"] == "2030-01-01 00:00:00" and back["returnedBy"]
    assert field.cli("loan", "return", serial, "--json")["id"] == again["id"]
    assert refused(field.cli, "loan", "return", str(give["id"])).status == 1
    # A machine with a card is lent by its number, and never plugged in.
    assert field.cli("loan", "give", "resmed-card/23181234567", first, "--json")["driver"] == "resmed-card"
    assert field.cli("audit", "verify", "--json")["intact"]


def test_overlapping_loans_leave_a_night_to_a_person(field):
    first, second = [v["id"] for v in field.visits()][:2]
    field.plug_oximeter("--night-seconds", "900")
    field.wait_for_device()
    for visit in (first, second):
        field.cli("loan", "give", "ttySIM0", visit, "--from", "2020-01-01 00:00:00")
    field.cli("visit", "open", second)
    field.cli("download", "ttySIM0")
    [night] = field.recordings()
    assert night.get("visit") is None and night["unattributed"] == "overlappingLoans"
    assert "prêté à deux patients" in night["attention"]
    field.cli("attribute", night["id"], first, "--why", "rendu le matin")
    [night] = field.recordings()
    assert night["visit"] == first and night["binding"] == "decision" and night.get("unattributed") is None


def test_doctor_says_what_to_do(field):
    def findings(*more):
        try:
            return field.cli("doctor", "--json", *more)["findings"], 0
        except CommandFailed as failure:
            return json.loads(failure.output)["findings"], failure.status

    day(field)
    found, status = findings("--thorough")
    assert status == 0, [f for f in found if f["level"] == "failure"]
    assert {f["check"] for f in found} >= {"agent", "store", "audit", "permissions", "key", "disk", "clock", "device", "server"}
    assert all(f["french"] and f["english"] and f["french"] != f["english"] for f in found)
    by = {f["check"]: f for f in found}
    assert by["store"]["level"] == by["audit"]["level"] == by["permissions"]["level"] == "well"
    assert by["key"]["level"] == "attention" and "sudo ess-agent setup" in by["key"]["french"]  # a plain file
    assert not [text for text in identities(field) if text in json.dumps(found)]

    field.state.chmod(0o755)
    found, status = findings()
    assert status == 1 and any(f["check"] == "permissions" and f["level"] == "failure" and "chmod 700" in f["english"] for f in found)
    field.state.chmod(0o700)
    (field.state / "master.key").chmod(0o644)
    found, status = findings()
    assert status == 1 and any(f["check"] == "key" and f["level"] == "failure" for f in found)
    (field.state / "master.key").chmod(0o600)

    assert field.agent.stop() == 0
    found, status = findings()
    assert status == 1 and found[0]["check"] == "agent" and "systemctl" in found[0]["french"]
    # And for people.
    said = refused(field.cli, "doctor")
    assert "[ ERREUR ]" in said.output and "The agent doesn't run" in said.output


def test_a_report_names_nobody(field, tmp_path):
    visit, recordings = day(field)
    names = identities(field) | {visit, *(v["id"] for v in field.visits()), str(field.directory), str(field.state)}
    patients = {field_id for v in field.visits() for field_id in [v["patient"].get("id")] if field_id}
    field.cli("attribute", recordings[0], visit, "--why", "Madame Tartempion l'a dit")
    field.cli("loan", "give", "ttySIM0", visit)
    path = tmp_path / "report.tar"
    field.cli("report", path)
    assert path.stat().st_mode & 0o077 == 0
    content = path.read_bytes()
    for text in names | patients | {"Tartempion", "localhost"}:
        for form in {text, text.upper(), text.lower(), json.dumps(text)[1:-1]}:
            assert form.encode() not in content, text
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        report = json.load(archive.extractfile("report.json"))
        assert "ni nom" in archive.extractfile("LISEZ-MOI.txt").read().decode()
    # What support needs is there.
    assert {r["id"] for r in report["recordings"]} == set(recordings)
    assert report["doctor"]["findings"] and report["counts"]["recordings"] == len(recordings)
    assert report["audit"]["intact"] is True and report["audit"]["actions"]["loan.give"] == 1
    assert report["devices"] and report["visits"] >= 2
    # Never over a file that is there.
    assert refused(field.cli, "report", path).status == 65
    assert path.read_bytes() == content


def test_backup_and_restore(field, tmp_path):
    _, recordings = day(field)
    copy = field.directory / "copy.sqlite"
    field.cli("backup", copy)
    assert copy.stat().st_mode & 0o077 == 0
    later = field.cli("import", field.make_card("--number", "7"), "--json")["imported"]
    # Not under a running agent.
    assert "agent" in refused(field.tool, "restore", copy, "--config", field.config).error
    assert field.agent.stop() == 0
    said = refused(field.tool, "restore", copy, "--config", field.config)
    assert said.status == 1 and "--force" in said.error
    broken = tmp_path / "broken.sqlite"
    content = bytearray(copy.read_bytes())
    content[len(content) // 2:len(content) // 2 + 8192] = random.Random(1).randbytes(8192)
    broken.write_bytes(content)
    assert refused(field.tool, "restore", broken, "--config", field.config, "--force").status == 65
    assert refused(field.tool, "restore", tmp_path / "none", "--config", field.config, "--force").status == 65
    restored = field.tool("restore", copy, "--config", field.config, "--force", "--json")
    assert restored["recordings"] == len(recordings) and "replaced" in restored["replaced"]
    field.start_agent()
    assert {r["id"] for r in field.recordings()} == set(recordings)
    assert field.cli("audit", "verify", "--json")["intact"]
    # What was put aside is whole.
    assert field.agent.stop() == 0
    field.tool("restore", restored["replaced"], "--config", field.config, "--force")
    field.start_agent()
    assert {r["id"] for r in field.recordings()} == {*recordings, *later}


def test_a_new_key(field):
    _, recordings = day(field)
    before = field.directory / "before.sqlite"
    field.cli("backup", before)
    key = field.state / "master.key"
    old = key.read_bytes()
    assert field.cli("key", "rotate", "--json")["key"] == str(key)
    assert key.read_bytes() != old and key.stat().st_mode & 0o777 == 0o600
    # It goes on, and again after a restart.
    card = field.cli("import", field.make_card("--number", "7"), "--json")["imported"]
    assert field.agent.stop() == 0
    said = refused(field.tool, "restore", before, "--config", field.config, "--force")
    assert said.status == 65 and "autre clé" in said.error
    field.start_agent()
    for recording in (*recordings, *card):
        assert field.cli("recording", recording, "--json")["channels"]
    assert field.cli("audit", "verify", "--json")["intact"]
    # For a key that the agent can't replace itself.
    elsewhere = field.laptop / "elsewhere.key"
    assert refused(field.tool, "key", "rotate", "--new", elsewhere, "--config", field.config).status != 0
    assert not elsewhere.exists()
    assert field.agent.stop() == 0
    field.tool("key", "rotate", "--new", elsewhere, "--config", field.config)
    assert len(elsewhere.read_bytes()) == 32 and elsewhere.stat().st_mode & 0o777 == 0o600
    done = subprocess.run([BIN / "ess-agent", "serve", "--config", field.config], capture_output=True, text=True, timeout=30)
    assert done.returncode == 78 and "autre clé" in done.stderr
    field.configure(master_key=elsewhere)
    field.start_agent()
    assert {r["id"] for r in field.recordings()} == {*recordings, *card}
    # Nothing that the first key opens is left in the files.
    assert field.agent.stop() == 0
    key.write_bytes(old)
    field.configure(master_key=key)
    done = subprocess.run([BIN / "ess-agent", "serve", "--config", field.config], capture_output=True, text=True, timeout=30)
    assert done.returncode == 78


@pytest.mark.parametrize("change, entry", [
    ("UPDATE audit SET actor = 'nobody' WHERE id = 3", 3), ("DELETE FROM audit WHERE id = 3", 3),
    ("UPDATE audit SET at = at + 1 WHERE id = 2", 2), ("DELETE FROM audit WHERE id = (SELECT MAX(id) FROM audit)", None),
    ("UPDATE audit SET id = id + 1000 WHERE id = 2; UPDATE audit SET id = 2 WHERE id = 3; UPDATE audit SET id = 3 WHERE id = 1002", 2)])
def test_the_audit_trail_tells(trail, bench, change, entry):
    shutil.copytree(trail.state, bench.state)
    bench.port = 1  # nobody listens
    bench.configure(server_ca=None, client_certificate=None, client_key=None)
    with contextlib.closing(sqlite3.connect(bench.state / "ess-agent.sqlite")) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        last = database.execute("SELECT MAX(id) FROM audit").fetchone()[0]
        database.executescript(change)
        database.commit()
    bench.start_agent()
    said = refused(bench.cli, "audit", "verify")
    assert said.status == 1 and f"ligne {entry or last}" in said.output
    # A new key would hide it.
    assert "audit" in refused(bench.cli, "key", "rotate").error


@pytest.fixture(scope="module")
def trail(tmp_path_factory):
    from bench import Bench
    bench = Bench()
    try:
        bench.make_server()
        bench.start_server()
        bench.configure()
        bench.start_agent()
        visit = bench.wait_for_visits()[0]["id"]
        for _ in range(3):
            bench.cli("visit", "open", visit)
            bench.cli("visit", "close")
        assert bench.cli("audit", "verify", "--json")["entries"] >= 6
        assert bench.agent.stop() == 0
        yield bench
    finally:
        bench.close()


def test_what_was_received_goes_after_its_time(field):
    visit, recordings = day(field)
    reasons = {i["recording"]: i["reasons"] for i in field.cli("purge", "--dry-run", "--json")["items"]}
    assert set(reasons) == set(recordings) and all("visitOpen" in r for r in reasons.values())
    closed(field)
    assert all("noReceipt" in i["reasons"] for i in field.cli("purge", "--dry-run", "--json")["items"])
    assert field.cli("purge", "--json")["purged"] == []
    field.start_server()
    files = field.synced()
    eventually("only the time is missing", lambda: all(
        i["reasons"] == ["withinRetention"] and i["due"] for i in field.cli("purge", "--dry-run", "--json")["items"]))
    assert "gardé par prudence jusqu'au" in field.cli("purge", "--dry-run")
    # Fourteen days later, by itself.
    orphan = field.cli("import", field.make_card("--number", "9"), "--json")["imported"]
    assert field.agent.stop() == 0
    field.configure(retention_days="0", purge_interval="1")
    field.start_agent()
    eventually("it is gone from here", lambda: field.cli("purge", "--dry-run", "--json")["items"] and {
        i["recording"] for i in field.cli("purge", "--dry-run", "--json")["items"]} == set(orphan))
    # What is nobody's stays; the receipts stay; the server has all of it; and its data are nowhere in the file.
    for recording in field.recordings():
        if recording["id"] in recordings:
            assert all(d["state"] == "received" and d["receipt"]["matches"] for d in recording["documents"])
            assert refused(field.cli, "export", recording["id"], "--format", "original", "--output", field.directory / "x").status == 1
        else:
            assert field.cli("recording", recording["id"], "--json")["channels"][0]["samples"] > 0
    assert field.server_files() == files
    assert field.cli("audit", "verify", "--json")["intact"]


def test_a_recorder_is_emptied_only_after_the_receipt(field):
    visit = field.visits()[0]["id"]
    recorder = field.plug_oximeter("--night-seconds", "600", "--nights", "2")
    serial = field.wait_for_device()["serial"]
    field.cli("visit", "open", visit)

    def more():
        said = refused(field.cli, "devices", "erase", "ttySIM0", "--confirm", serial)
        assert said.status == 1 and "Rien n'a été effacé" in said.error and "2 enregistrements" in said.error, said.error

    more()
    nights = field.cli("download", "ttySIM0", "--json")["recordings"]
    assert len(nights) == 2
    more()  # kept here isn't enough
    field.cli("visit", "close")
    field.start_server()
    field.synced()
    said = refused(field.cli, "devices", "erase", "ttySIM0", "--confirm", "SIM9")
    assert said.status == 64 and serial in said.error
    looked = field.cli("devices", "erase", serial, "--json")
    assert looked["recordings"] == 2 and not looked["isErased"]
    assert f"--confirm {serial}" in field.cli("devices", "erase", "ttySIM0")
    assert field.cli("download", "ttySIM0", "--json")["skipped"] == 2, "still in its memory"

    erased = field.cli("devices", "erase", "ttySIM0", "--confirm", serial, "--json")
    assert erased["recordings"] == 2 and erased["isErased"]
    again = field.cli("download", "ttySIM0", "--json")
    assert again["skipped"] == 0 and again["recordings"] == []
    assert field.cli("devices", "erase", "ttySIM0", "--confirm", serial, "--json")["recordings"] == 0
    trail = field.cli("audit", "list", "--json")
    steps = [(e["action"], e["details"]) for e in trail if e["action"].startswith("device.erase")]
    assert steps == [("device.erase-ended", "erased"), ("device.erase", "2 recordings, all of them received")] and all(
        e["subject"] == f"contec-oximeter:{serial}" and e["actor"] for e in trail if e["action"].startswith("device.erase"))
    assert {r["id"] for r in field.recordings()} == {n["recording"] for n in nights}

    # The same nights in an instrument that only says that it erased them.
    recorder.stop()
    field.plug_oximeter("--night-seconds", "600", "--nights", "2", "--faults", "erases-nothing")
    field.wait_for_device()
    said = refused(field.cli, "devices", "erase", "ttySIM0", "--confirm", serial)
    assert said.status == 1 and "pas confirmé" in said.error
    assert "not confirmed" in field.cli("audit", "list", "--json")[0]["details"]
