"""Sticks with examinations: from whatever state they are in to the server's receipts, with the real binaries."""

import hashlib
import io
import json
import os
import pathlib
import shutil
import tarfile

import pytest
import sticks
from bench import SHARED, CommandFailed, eventually

MB = 1 << 20


def resident(pid):
    """Most kilobytes that the process ever held."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1])


def open_visit(field):
    visit = field.visits()[0]
    field.cli("visit", "open", visit["id"])
    return visit


def hashes(files):
    return sorted(digest for _, digest in files.values())


def sent(field):
    """Everything that is bound has arrived, but for half copies that a whole one replaced; the server's files by their hash."""
    if field.server.process.poll() is not None:
        field.start_server()
    def open_ones():
        return [r for r in field.recordings() if r.get("visit") and not r["documents"] and not r.get("supersededBy")]

    try:
        eventually("frozen", lambda: not open_ones())
    except AssertionError:
        raise AssertionError(f"never frozen: {open_ones()}") from None
    return {digest: size for size, digest in field.synced().values()}


def test_a_stick_in_a_bad_state_is_carried_byte_for_byte(field, tmp_path):
    visit = open_visit(field)
    patient = visit["patient"]
    first, second = sticks.cine(patient, "1.2.3.1"), sticks.cine(patient, "1.2.3.2", seed=2)
    other = sticks.cine({"family": "AUTRE", "given": ["Paul"], "birthDate": "1950-01-01", "sex": "male"}, "1.2.3.4", seed=4)
    nameless = sticks.cine(patient, "1.2.3.5", seed=5, patient_id="")
    cut = sticks.cine(patient, "1.2.3.6", seed=6)[:-700]
    stick = tmp_path / "KEY"
    wanted = sticks.write(stick, {
        "DICOM/IM000001": first, "dicom/Sub/im2.dcm": second, "DICOM/implicit": sticks.implicit(first),
        "DICOM/cut": cut})
    asked = sticks.write(stick, {"DICOM/OTHER": other, "DICOM/NAMELESS": nameless})
    sticks.write(stick, {
        "COPY/0001": first, "DICOMDIR": sticks.index(patient), "VIEWER/view.exe": b"MZ" + b"\0" * 900,
        "AUTORUN.INF": b"[autorun]\nopen=view.exe\n", "System Volume Information/x": b"x" * 40})
    os.symlink("/etc/passwd", stick / "DICOM/LINK")
    os.symlink("..", stick / "DICOM/LOOP")

    imported = field.cli("import", stick, "--json")
    assert imported["failed"] == [] and imported.get("problem") is None
    assert len(imported["imported"]) == 6 and len(imported["known"]) == 1 and imported["ignored"] == 4
    views = {r["id"]: r for r in field.recordings()}
    held = [r for r in views.values() if r.get("visit") is None]
    assert len(held) == 2 and all("identité" in r["attention"] for r in held)
    assert all(r["modality"] == "imaging" and r["state"] == "complete" for r in views.values())
    assert {r["start"] for r in views.values()} == {"2026-11-20 10:15:30"}
    notes = {n["text"] for r in views for n in field.cli("recording", r, "--json")["notes"]}
    assert any("cut" in note for note in notes) and any("drawn in the pixels" in note for note in notes)

    # Again: nothing is kept twice, and nothing is read twice.
    again = field.cli("import", stick, "--json")
    assert again["imported"] == [] and len(again["known"]) == 7

    there = sent(field)
    assert sorted(there) == sorted(wanted.values())
    # A person decides about the rest.
    for recording in held:
        field.cli("attribute", recording["id"], visit["id"], "--why", "seen")
    assert sorted(sent(field)) == sorted([*wanted.values(), *asked.values()])
    for secret in ("AUTRE", "LEFÈVRE", "IM000001", "NAMELESS"):
        assert secret not in field.agent.text()
    assert b"ACME PRIVATE" not in (field.state / "ess-agent.sqlite").read_bytes()


def test_what_nobody_understands_is_one_bundle_and_only_once(field, tmp_path):
    open_visit(field)
    stick = tmp_path / "CARD"
    files = {"DATA/0001.BIN": os.urandom(3 * MB + 17), "DATA/été/long/" + "n" * 120 + ".dat": b"abc" * 700, "notes.txt": b"x"}
    sticks.write(stick, files)
    imported = field.cli("import", stick, "--json")
    assert len(imported["imported"]) == 1 and imported["failed"] == []
    [view] = field.recordings()
    assert view["modality"] == "other" and view["visit"]
    [digest] = sent(field)
    [document] = field.recordings()[0]["documents"]
    assert document["mediaType"] == "application/x-tar" and document["sha256"] == digest
    bundle = (field.server_directory / "recordings" / document["id"]).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(bundle)) as archive:
        manifest = json.load(archive.extractfile("ess-agent-manifest.json"))
        for entry in manifest["files"]:
            bytes = archive.extractfile(entry["name"]).read()
            assert bytes == files[entry["path"]] and hashlib.sha256(bytes).hexdigest() == entry["sha256"]
        assert len(manifest["files"]) == 3

    # What is new since is a bundle of its own.
    sticks.write(stick, {"DATA/0002.BIN": b"new"})
    again = field.cli("import", stick, "--json")
    assert len(again["imported"]) == 1 and again["known"] == [view["id"]]


def test_pulled_out_in_the_middle_and_continued(field):
    """Through the mounts' directory, as udev's unit does it; the nurse sees it in /api/media."""
    visit = open_visit(field)
    media = field.directory / "media"
    media.mkdir()
    field.agent.stop()
    field.configure(media_directory=media)
    field.start_agent()
    field.cli("visit", "open", visit["id"])
    def stick(place):
        return sticks.write(place, {
            f"IM{n}": sticks.cine(visit["patient"], f"1.2.3.{n}", size=20 * MB, seed=n) for n in range(6)})

    aside = field.directory / "aside"
    wanted = stick(aside)

    def medium():
        return (field.cli("media", "--json") or [None])[-1]

    aside.rename(media / "sdb1")
    ready = eventually("it is looked through", lambda: (m := medium()) and m["state"] == "ready" and m)
    assert ready["found"]["recordings"] == 6 and ready["mayRemove"] and field.recordings() == []
    field.cli("media", "import", ready["id"])
    eventually("some of it is here", lambda: medium()["progress"]["bytes"] >= 14 * MB)
    (media / "sdb1").rename(aside)
    shutil.rmtree(aside)
    cut = eventually("it notices", lambda: (m := medium())["state"] != "importing" and m)
    assert cut["state"] == "interrupted" and cut["problem"]["key"] == "medium-gone" and cut["failed"] == []
    assert "Remettez" in cut["sentence"] and cut["mayRemove"] and len(cut["imported"]) < 6

    # And the agent dies as well.
    field.agent.kill()
    field.start_agent()
    stick(aside)
    aside.rename(media / "sdb1")
    again = eventually("it is back", lambda: (m := medium()) and m["state"] == "ready" and m)
    field.cli("media", "import", again["id"])
    done = eventually("all of it", lambda: (m := medium())["state"] == "done" and m)
    assert done["mayRemove"] and "vous pouvez retirer la clé" in done["sentence"] and done["failed"] == []
    assert done["progress"]["bytes"] == done["progress"]["ofBytes"]
    whole = [r for r in field.recordings() if r["state"] == "complete"]
    assert len(whole) == 6
    # Half a copy has been replaced by the whole one.
    assert all(r.get("supersededBy") for r in field.recordings() if r["state"] == "interrupted" and r["originalBytes"])
    shutil.rmtree(media / "sdb1")
    eventually("it is gone from the screen", lambda: medium() is None)
    assert sorted(sent(field)) == sorted(wanted.values())


def test_killed_in_the_middle_and_continued(field, tmp_path):
    visit = open_visit(field)
    wanted = sticks.write(tmp_path / "KEY", {
        f"IM{n}": sticks.cine(visit["patient"], f"1.2.3.{n}", size=16 * MB, seed=n) for n in range(5)})
    medium = field.cli("media", "look", tmp_path / "KEY", "--json")
    field.cli("media", "import", medium["id"])
    eventually("in the middle", lambda: field.cli("media", "--json")[0]["progress"]["bytes"] >= 20 * MB)
    field.agent.kill()
    field.start_agent()
    imported = field.cli("import", tmp_path / "KEY", "--json")
    assert len(imported["imported"]) + len(imported["known"]) == 5 and imported["failed"] == []
    halves = [r for r in field.recordings() if r["state"] == "interrupted"]
    assert len(halves) <= 1 and all(r["supersededBy"] and not r["documents"] for r in halves if r["originalBytes"])
    assert sorted(sent(field)) == sorted(wanted.values())


def test_a_large_stick_needs_no_memory(field, tmp_path):
    visit = open_visit(field)
    cine = sticks.cine(visit["patient"], "1.2.3.1", size=100 * MB, frames=50)
    wanted = sticks.write(tmp_path / "KEY", {
        "A": cine, "B": sticks.cine(visit["patient"], "1.2.3.2", size=100 * MB, frames=50, seed=2)})
    del cine
    field.cli("import", sticks_small(tmp_path, visit["patient"]), "--json")
    before = resident(field.agent.process.pid)
    imported = field.cli("import", tmp_path / "KEY", "--json")
    assert len(imported["imported"]) == 2
    assert sorted(set(sent(field)) & set(wanted.values())) == sorted(wanted.values())
    grown = resident(field.agent.process.pid) - before
    assert grown < 96 * 1024, f"{grown} kB more for files of 100 MB each"


def sticks_small(tmp_path, patient):
    """Whatever the process allocates once is allocated with this."""
    sticks.write(tmp_path / "SMALL", {"A": sticks.cine(patient, "1.2.9.1", size=16 * MB, seed=9)})
    return tmp_path / "SMALL"


def test_the_samples_of_the_reference(field):
    """Real objects of many makers and syntaxes: each is carried, or waits because it names somebody else."""
    echo = SHARED / "data/echo"
    if not echo.exists():
        pytest.skip("../shared/data/echo isn't there")
    visit = open_visit(field)
    imported = field.cli("import", echo, "--json")
    assert imported["failed"] == []
    for recording in field.recordings():
        if recording["modality"] == "imaging":
            assert recording.get("visit") is None, "nobody of these is the visit's patient"
    assert imported["known"], "stickA holds one file twice"
    held = [r["id"] for r in field.recordings() if r.get("visit") is None]
    assert held
    for recording in held:
        field.cli("attribute", recording, visit["id"])
    files = [p for p in echo.rglob("*") if p.is_file()]
    there = sent(field)
    for path in files:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert (digest in there) == (path.name not in ("DICOMDIR", "AUTORUN.INF", "README.TXT")), path.name
