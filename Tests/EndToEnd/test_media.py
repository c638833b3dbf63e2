"""Sticks with examinations: from whatever state they are in to the server's receipts, with the real binaries."""

import base64
import hashlib
import io
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tarfile

import pytest
import sticks
from bench import ROOT, SHARED, CommandFailed, eventually

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
    # The index is only a hint; but what it announces and isn't there is said.
    assert imported["hint"].startswith("La clé est incomplète : 1 fichier annoncé manque.")
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


def test_what_is_technically_wrong_with_a_stored_ecg_is_said_and_alters_nothing(field):
    """A card's ECG with a chest electrode off for three seconds and the arms exchanged: both are hints of the stored recording, and its
    bytes and samples are what they were."""
    open_visit(field)
    card = field.make_card("--number", "3", "--seconds", "20")
    [path] = card.rglob("*.ECG")
    raw = path.read_bytes()
    words = list(struct.unpack(f"<{(len(raw) - 80) // 2}H", raw[43:-37]))
    # 800 a second of II, III, V1 to V6. Exchanged arms turn I over, and II and III change places.
    words[0::8], words[1::8] = words[1::8], words[0::8]
    for second in (5, 6, 7):
        words[second * 6400 + 2:(second + 1) * 6400:8] = [0x6800] * 800
    wrong = raw[:43] + struct.pack(f"<{len(words)}H", *words) + raw[-37:]
    path.write_bytes(wrong)
    [recording] = field.cli("import", card, "--json")["imported"]
    view = field.cli("recording", recording, "--json")
    hints = {hint["kind"]: hint for hint in view["quality"]["hints"]}
    assert view["quality"]["seconds"] == 20 and set(hints) == {"leadOff", "armLeadSwap"}, hints
    assert (hints["leadOff"]["channels"], hints["leadOff"]["at"], hints["leadOff"]["duration"]) == (["V1"], 5, 3)
    assert hints["armLeadSwap"]["channels"] == ["I"] and "Europace" in hints["armLeadSwap"]["method"]
    channels = {channel["name"]: channel for channel in view["channels"]}
    assert channels["V1"]["absent"] == 2400 and channels["V2"]["absent"] == 0
    assert channels["II"]["sum"] == sum((word - 2048) * 5 for word in words[0::8])
    field.cli("export", recording, "--format", "original", "--output", field.directory / "again.ECG")
    assert (field.directory / "again.ECG").read_bytes() == wrong


def images(field, recording):
    return json.loads(subprocess.run(
        ["curl", "-sS", "--fail", "--unix-socket", field.socket, f"http://localhost/api/recordings/{recording}/images"],
        check=True, capture_output=True).stdout)


def test_what_can_be_seen_of_an_examination_before_anybody_reads_it(field, tmp_path):
    """`/api/recordings/:id/images`: a small picture where one can be shown, a report's numbers as its writer's own; nothing of a file
    that is neither. And an imported examination is what the plan's echocardiography asks for."""
    visit = open_visit(field)
    patient = visit["patient"]
    picture = sticks.implicit(sticks.cine(patient, "1.2.3.1", size=2000))
    loop = sticks.cine(patient, "1.2.3.2", size=200_000)
    sticks.write(tmp_path / "KEY", {"IM1": picture, "IM2": loop, "SR1": sticks.report(patient, "1.2.3.88")})

    def echo():
        plan = json.loads(subprocess.run(
            ["curl", "-sS", "--fail", "--unix-socket", field.socket, f"http://localhost/api/visits/{visit['id']}/plan"],
            check=True, capture_output=True).stdout)
        return next(item for item in plan["items"] if item["key"] == "echo")

    assert echo()["state"] == "missing"
    assert len(field.cli("import", tmp_path / "KEY", "--json")["imported"]) == 3
    assert echo()["state"] == "done"
    views = {}
    for recording in field.recordings():
        view = images(field, recording["id"])
        assert view["recording"] == recording["id"]
        views["report" if view["measurements"] else "picture" if view.get("preview") else "loop"] = view
    bitmap = base64.b64decode(views["picture"]["preview"]["data"])
    assert views["picture"]["preview"]["mediaType"] == "image/bmp" and bitmap[:2] == b"BM"
    # Its header says how large it is: 20 columns, 10 rows, 24 bits; every pixel of the made one is 10 hex.
    assert struct.unpack("<iiHH", bitmap[18:30]) == (20, 10, 1, 24) and set(bitmap[54:]) == {0x10}
    # Noise is no JPEG, whatever the transfer syntax says: nothing is shown rather than something broken.
    assert "preview" not in views["loop"] and views["loop"]["measurements"] == []
    report = views["report"]
    assert report["producer"] == ["ACME", "Echo 5"] and "preview" not in report
    assert [(m["name"], m["value"], m["unit"]) for m in report["measurements"]] == [
        ("Left Ventricular Ejection Fraction by US", "57.4", "%"),
        ("Left Ventricle Internal End Diastolic Dimension", "4.91", "cm")]
    failed = subprocess.run(
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", field.socket,
         "http://localhost/api/recordings/00000000-0000-7000-8000-000000000000/images"], capture_output=True, text=True)
    assert failed.stdout == "404"


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


def next_visit(field):
    field.cli("visit", "close")
    visit = field.visits()[1]
    field.cli("visit", "open", visit["id"])
    return visit


def test_what_nobody_understands_is_known_by_what_is_in_it(field, tmp_path):
    """Its place and its date change: a copy, summer time on a card. It was the first patient's, and is not the next one's."""
    first = open_visit(field)
    stick = tmp_path / "KEY"
    sticks.write(stick, {"EXAM/REPORT.PDF": b"%PDF-1.4 " + os.urandom(3000), "EXAM/CLIP.AVI": b"RIFF" + os.urandom(9000)})
    [bundle] = field.cli("import", stick, "--json")["imported"]
    next_visit(field)
    for path in stick.glob("EXAM/*"):
        os.utime(path, (path.stat().st_atime + 3600, path.stat().st_mtime + 3600))
    (stick / "EXAM").rename(stick / "OLD")
    sticks.write(stick, {"NEW/REPORT.PDF": b"%PDF-1.4 " + os.urandom(3000)})
    again = field.cli("import", stick, "--json")
    assert again["known"] == [bundle] and len(again["imported"]) == 1, again
    with_new = next(r for r in field.recordings() if r["id"] == again["imported"][0])
    assert with_new["originalBytes"] < 9000 and with_new["visit"] != first["id"], with_new


def test_what_was_cut_in_one_visit_is_not_the_next_ones(field, tmp_path):
    first = open_visit(field)
    stick = tmp_path / "KEY"
    sticks.write(stick, {"X/BIG.DAT": os.urandom(60 * MB), "X/SMALL.DAT": b"1" * 5000})
    medium = field.cli("media", "look", stick, "--json")
    field.cli("media", "import", medium["id"])
    eventually("in the middle", lambda: field.cli("media", "--json")[0]["progress"]["bytes"] >= 20 * MB)
    field.agent.kill()
    field.start_agent()
    next_visit(field)
    # Not the same set of files.
    sticks.write(stick, {"X/NEW.DAT": b"2" * 700})
    imported = field.cli("import", stick, "--json")
    assert imported["failed"] == [] and len(imported["imported"]) == 2, imported
    # A bundle of its own each; what is beside another patient's may be theirs, too.
    new = {r["originalBytes"] > 60 * MB: r.get("visit") for r in field.recordings() if r["id"] in imported["imported"]}
    assert new == {True: None, False: None}, new
    assert [r["visit"] for r in field.recordings() if r["state"] == "interrupted"] == [first["id"]]


def test_what_stands_beside_another_patients_examination_is_nobodys(field, tmp_path):
    first = open_visit(field)
    next_visit(field)
    stick = tmp_path / "KEY"
    sticks.write(stick, {"EXAM/IM1": sticks.cine(first["patient"], "1.2.3.1"), "EXAM/REPORT.PDF": b"%PDF-1.4 " + b"x" * 3000})
    imported = field.cli("import", stick, "--json")
    assert len(imported["imported"]) == 2, imported
    # Nor is what comes when the key is put in again, and the examination is here already.
    sticks.write(stick, {"EXAM/CLIP.AVI": b"RIFF" + b"y" * 3000})
    again = field.cli("import", stick, "--json")
    assert len(again["imported"]) == 1 and len(again["known"]) == 2 and again["toDecide"] == 3, again
    assert "à attribuer : 3" in field.cli("import", stick)
    views = field.recordings()
    assert len(views) == 3 and all(not r.get("visit") for r in views), views


def test_every_name_counts_and_what_cannot_be_read_is_told(field, tmp_path):
    """A name is any bytes. What was deleted is nobody's any more. And nobody hears "all is copied" of what lies too deep to be read."""
    stick = tmp_path / "KEY"
    [first], [second] = (sorted(field.make_card("--number", number, "--seconds", "5").glob("**/*.ECG")) for number in ("31", "32"))
    odd = os.fsencode(stick) + b"/\xe9tude"
    os.makedirs(odd)
    with open(odd + b"/n\xff.ECG", "wb") as file:
        file.write(first.read_bytes())
    # However deep it was deleted, and however much: nothing of the stick is missing for that. What was recovered is data.
    for folder in (".Trashes/501" + "/d" * 20, "$RECYCLE.BIN/S-1-5", "lost+found/#12"):
        (stick / folder).mkdir(parents=True)
        shutil.copy(second, stick / folder / "a.ECG")
    for number in range(50_000):
        (stick / f"$RECYCLE.BIN/S-1-5/$I{number}").touch()
    imported = field.cli("import", stick, "--json")
    assert len(imported["imported"]) == 2 and imported["known"] == [], imported
    assert imported["isAll"] is True and imported["failed"] == [] and imported["ignored"] == 2, imported
    view = field.cli("recording", imported["imported"][0], "--json")
    assert view["recording"]["modality"] == "ecg" and "Contec" in view["recording"]["device"], view["recording"]
    deep = stick.joinpath(*["d"] * 40)
    deep.mkdir(parents=True)
    shutil.copy(second, deep / "b.ECG")
    with pytest.raises(CommandFailed) as failure:
        field.cli("import", stick)
    told = str(failure.value)
    assert failure.value.status == 3 and "gardez la clé" in told and "Vous pouvez retirer" not in told, told
    # A file that is asked for alone is all that was asked for; and a stick of which nothing can be read is no wrong stick.
    shutil.copy(second, stick / "alone.ECG")
    assert "Vous pouvez retirer" in field.cli("import", stick / "alone.ECG")
    deep = (tmp_path / "DEEP").joinpath(*["d"] * 20)
    deep.mkdir(parents=True)
    shutil.copy(second, deep / "b.ECG")
    with pytest.raises(CommandFailed) as failure:
        field.cli("import", tmp_path / "DEEP")
    told = str(failure.value)
    assert failure.value.status == 3 and "Gardez-la" in told and "bonne carte" not in told, told


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


def ecg(patient, uid, **changed):
    """A General ECG as a cart writes it: two leads of 5 s, a median beat, the number of a local register."""
    import array

    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    def code(value, scheme, meaning):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        return item

    def group(label, samples, originality):
        item = Dataset()
        item.WaveformOriginality, item.MultiplexGroupLabel = originality, label
        item.NumberOfWaveformChannels, item.NumberOfWaveformSamples, item.SamplingFrequency = 2, samples, "500"
        channels = []
        for number, name in ((1, "Lead I"), (2, "Lead II")):
            channel = Dataset()
            channel.ChannelSourceSequence = Sequence([code(f"2:{number}", "MDC", name)])
            channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = "2.5", "1", "0"
            channel.ChannelSensitivityUnitsSequence = Sequence([code("uV", "UCUM", "microvolt")])
            channel.ChannelSampleSkew, channel.WaveformBitsStored = "0", 16
            channels.append(channel)
        item.ChannelDefinitionSequence = Sequence(channels)
        item.WaveformBitsAllocated, item.WaveformSampleInterpretation = 16, "SS"
        item.WaveformData = array.array("h", [(n * 7) % 400 - 200 for n in range(2 * samples)]).tobytes()
        return item

    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.9.1.2", uid
    data.AcquisitionDateTime, data.Modality = "20261120101530", "ECG"
    data.Manufacturer, data.ManufacturerModelName, data.DeviceSerialNumber = "ACME", "Cart 3", "C3-7"
    data.PatientName, data.PatientID = f"{patient['family']}^{patient['given'][0]}", "LOCAL-7"
    data.PatientBirthDate = patient["birthDate"].replace("-", "")
    data.PatientSex = {"female": "F", "male": "M"}.get(patient["sex"], "O")
    data.StudyInstanceUID, data.SeriesInstanceUID = "2.25.78", "2.25.78.1"
    data.WaveformSequence = Sequence([group("RHYTHM", 2500, "ORIGINAL"), group("MEDIAN BEAT", 300, "DERIVED")])
    for name, value in changed.items():
        setattr(data, name, value)
    return sticks.file(data)


def other_ins():
    """Another person's INS, where a cart that knows it puts it."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    issuer, number = Dataset(), Dataset()
    issuer.UniversalEntityID, issuer.UniversalEntityIDType = "1.2.250.1.213.1.4.8", "ISO"
    number.PatientID, number.TypeOfPatientID = "154097512345678", "TEXT"
    number.IssuerOfPatientIDQualifiersSequence = Sequence([issuer])
    return Sequence([number])


def test_ecgs_in_standard_files_become_recordings(field, tmp_path):
    """Decoded, kept byte for byte, compared with the visit's patient, exported in every form, and sent."""
    visit = open_visit(field)
    patient = visit["patient"]
    mine, fixtures = ecg(patient, "1.2.4.1"), ROOT / "fixtures/formats"
    stranger = ecg({"family": "AUTRE", "given": ["Paul"], "birthDate": "1950-01-01", "sex": "male"}, "1.2.4.2")
    registered = ecg(patient, "1.2.4.3", OtherPatientIDsSequence=other_ins())
    nameless = ecg(patient, "1.2.4.4", PatientID="")
    header = b"rec 2 250 500 10:15:30 20/11/2026\nREC.D16 16 200/mV 16 0 0 0 0 II\nREC.D16 16 200/mV 16 0 0 0 0 V5\n"
    signal = b"".join(n.to_bytes(2, "little", signed=True) for n in range(-500, 500))
    stick = tmp_path / "CARD"
    sticks.write(stick, {
        "ECG/A.BIN": mine, "ECG/B": stranger, "ECG/C": registered, "ECG/D": nameless, "ECG/CUT": ecg(patient, "1.2.4.5")[:-900],
        "rec.hea": header, "rec.d16": signal, "scp/x.scp": (fixtures / "ecg.scp").read_bytes(),
        "DICOM/IM1": sticks.cine(patient, "1.2.3.1"), "aecg-empty.xml": b"<AnnotatedECG xmlns='urn:hl7-org:v3'/>"})
    imported = field.cli("import", stick, "--json")
    assert imported["failed"] == [] and len(imported["imported"]) == 9
    views = {r["id"]: r for r in field.recordings()}
    ecgs = [r for r in views.values() if r["modality"] == "ecg"]
    assert len(ecgs) == 7
    held = {r["id"] for r in ecgs if r.get("visit") is None}
    details = {r["id"]: field.cli("recording", r["id"], "--json") for r in ecgs}

    def original(id):
        path = tmp_path / f"{id}.original"
        field.cli("export", id, "--format", "original", "--output", path)
        return path.read_bytes()

    originals = {original(r["id"]): r["id"] for r in ecgs}
    for bytes in (mine, stranger, registered, nameless):
        assert bytes in originals, "byte for byte"
    for bytes in (stranger, registered, nameless):
        assert originals[bytes] in held
    assert originals[mine] not in held
    assert all("identité" in views[originals[b]]["attention"] for b in (stranger, registered, nameless))

    detail = details[originals[mine]]
    assert [(c["name"], c["samples"], c["rate"]) for c in detail["channels"]] == [("I", 2500, 500), ("II", 2500, 500)]
    assert any("original" in n["text"] for n in detail["notes"]), "the median beat isn't forgotten"
    assert any("cut short" in n["text"] for d in details.values() for n in d["notes"])

    # The record is an archive of its files, and decode reads what export gave.
    record = next(i for i, d in details.items() if [c["name"] for c in d["channels"]] == ["II", "V5"])
    assert views[record]["start"] == "2026-11-20 10:15:30"
    with tarfile.open(tmp_path / f"{record}.original") as archive:
        assert archive.extractfile("rec.hea").read() == header and archive.extractfile("rec.d16").read() == signal
    decoded = field.tool("decode", tmp_path / f"{record}.original", "--json")
    assert [c["sum"] for c in decoded["channels"]] == [sum(range(-500, 500, 2)) / 200, sum(range(-499, 500, 2)) / 200]
    for format, expected in (("dicom", "dicom-12-lead-ecg"), ("edf", "edf+c")):
        path = tmp_path / f"mine.{format}"
        field.cli("export", originals[mine], "--format", format, "--output", path)
        read = field.tool("decode", path, "--json")
        assert read["format"] == expected and [c["samples"] for c in read["channels"]][:2] == [2500, 2500]
        assert [c["minimum"] for c in read["channels"]][:2] == [-500, -497.5]

    there = sent(field)
    assert hashlib.sha256(mine).hexdigest() in there
    types = {d["mediaType"] for r in field.recordings() if r["id"] == originals[mine] for d in r["documents"]}
    assert types == {"application/dicom"}, "an archive takes the original as the object that it is"
    again = field.cli("import", stick, "--json")
    assert again["imported"] == [] and again["failed"] == []
