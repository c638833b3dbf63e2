"""Regions without the whole contract: a PACS behind nginx (Orthanc), a FHIR server, and nothing but a folder (age)."""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess

import pydicom
import pytest
from bench import CommandFailed, eventually
from region import DICOMWEB, Front, Orthanc

# `make test` installs them; somebody who runs one test by hand may not have them.
needs = {
    name: pytest.mark.skipif(
        not (shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")), reason=f"{name} isn't installed: make setup-test")
    for name in ("age", "Orthanc", "nginx", "openssl")
}
if not DICOMWEB.exists():
    needs["Orthanc"] = pytest.mark.skip(reason="Orthanc with DICOMweb isn't installed: make setup-test")


def documents(bench):
    return [d for r in bench.recordings() for d in r["documents"]]


def record(bench, visit=0, numbers=("1",)):
    bench.cli("visit", "open", bench.visits()[visit]["id"])
    for number in numbers:
        bench.cli("import", bench.make_card("--number", number))
    bench.cli("visit", "close")
    eventually("frozen", lambda: all(r["documents"] for r in bench.recordings()))


def all_received(bench):
    found = documents(bench)
    return found and all(d["state"] == "received" for d in found) and found


def check(bench, *arguments):
    done = subprocess.run(
        [bench.agent_binary, "server", "check", "--config", bench.config, "--json", *arguments], capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout)


# fhir


@pytest.fixture
def fhir_region(bench):
    bench.make_server()
    bench.start_server()
    bench.configure(profile="fhir")
    bench.start_agent()
    bench.wait_for_visits()
    return bench


def test_a_fhir_server_takes_everything(fhir_region):
    bench = fhir_region
    record(bench, numbers=("1", "2"))
    found = eventually("received", lambda: all_received(bench))
    for document in found:
        stored = (bench.server_directory / "binaries" / document["id"]).read_bytes()
        assert hashlib.sha256(stored).hexdigest() == document["sha256"]
        assert document["receipt"]["matches"] is True
        reference = bench.fhir(f"DocumentReference/{document['id']}")
        assert reference["content"][0]["attachment"]["url"].endswith(f"/fhir/Binary/{document['id']}")
    assert bench.server_files() == {}


def test_a_restored_fhir_server_is_read_back_again(fhir_region):
    """Out of its backup it says so by another epoch: what it still has is read back, what it lost is sent again."""
    bench = fhir_region
    record(bench)
    found = eventually("received", lambda: all_received(bench))
    eventually("settled", lambda: bench.cli("status", "--json")["sync"]["isSettled"])
    before = {d["receipt"]["storeEpoch"] for d in found}
    bench.server.kill()
    lost = bench.server_directory / "binaries" / found[0]["id"]
    lost.unlink()
    bench._run([bench.server_binary, "restored", "--directory", bench.server_directory])
    bench.start_server()
    bench.cli("sync")

    def confirmed():
        now = all_received(bench)
        return now and {d["receipt"]["storeEpoch"] for d in now}.isdisjoint(before) and now

    eventually("received in the new epoch", confirmed)
    assert hashlib.sha256(lost.read_bytes()).hexdigest() == found[0]["sha256"]


def test_wrong_bytes_in_a_binary_are_seen(bench):
    bench.make_server()
    bench.start_server("corrupt=1", "lose-answer=every:3")
    bench.configure(profile="fhir")
    bench.start_agent()
    bench.wait_for_visits()
    record(bench)
    for document in eventually("received", lambda: all_received(bench)):
        stored = (bench.server_directory / "binaries" / document["id"]).read_bytes()
        assert hashlib.sha256(stored).hexdigest() == document["sha256"]


# pacs


@pytest.fixture
def pacs_region(bench):
    bench.make_server()
    bench.start_server()
    bench.orthanc = Orthanc(bench)
    # A region's own server knows nothing of us.
    bench.front = Front(bench, bench.orthanc, hides=("/.well-known/ess-agent", "/ess/", "/files"))
    bench.configure(profile="pacs", server=f"https://localhost:{bench.front.port}")
    bench.start_agent()
    bench.wait_for_visits()
    return bench


@needs["Orthanc"]
@needs["nginx"]
def test_a_pacs_takes_everything(pacs_region):
    """The ECG as it is, the device's own file in a Raw Data object: both come back byte for byte."""
    bench = pacs_region
    assert check(bench)[1]["profile"] in ("pacs", "fhir")
    code, report = check(bench, "--profile", "pacs")
    assert code == 0, report
    record(bench, numbers=("1", "2"))
    found = eventually("received", lambda: all_received(bench), seconds=90)
    by_hash = {}
    for instance in bench.orthanc.instances():
        content = bench.orthanc.file(instance)
        by_hash[hashlib.sha256(content).hexdigest()] = content
        dataset = pydicom.dcmread(__import__("io").BytesIO(content))
        if dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66":
            payload = dataset[0x7FE3, 0x1002].value[: int(dataset[0x7FE3, 0x1001].value)]
            by_hash[hashlib.sha256(payload).hexdigest()] = payload
    assert {d["sha256"] for d in found} <= set(by_hash)
    assert len(bench.orthanc.instances()) == len(found), "each exactly once"
    for document in found:
        url = bench.fhir(f"DocumentReference/{document['id']}")["content"][0]["attachment"]["url"]
        assert f"localhost:{bench.front.port}/dicom-web/studies/2.25." in url


@needs["Orthanc"]
@needs["nginx"]
def test_a_pacs_that_is_killed_gets_each_once(pacs_region):
    bench = pacs_region
    record(bench, numbers=("1",))
    eventually("something arrived", bench.orthanc.instances)
    bench.agent.kill()
    bench.start_agent()
    found = eventually("received", lambda: all_received(bench), seconds=90)
    assert len(bench.orthanc.instances()) == len(found)


@needs["nginx"]
@needs["openssl"]
def test_a_front_that_refuses_the_certificate_sets_nothing_aside(bench):
    """nginx lets the handshake pass and answers each request with a page, as 400: a certificate that was revoked, say. It is about us,
    not about what was sent."""
    bench.make_server()
    bench.start_server()
    bench.front = Front(bench)
    bench.configure(server=f"https://localhost:{bench.front.port}")
    bench.start_agent()
    bench.wait_for_visits()
    other = bench.directory / "other.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    bench.directory / "other.key", "-out", other, "-subj", "/CN=other", "-days", "30"],
                   check=True, capture_output=True)
    bench.front.program.kill()
    bench.front.start(other)
    record(bench)
    bench.cli("sync")
    eventually("told", lambda: bench.cli("status", "--json")["sync"].get("problem") == "unauthorised")
    assert {d["state"] for d in documents(bench)} == {"waiting"}
    bench.front.program.kill()
    bench.front.start(bench.front.trusted)
    bench.cli("sync")
    eventually("received", lambda: all_received(bench))


# drop


@pytest.fixture
def folder_region(bench):
    """The region's side: a key of age, and a folder."""
    bench.folder = bench.directory / "key"
    identity = bench.directory / "region.key"
    subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
    bench.identity = identity
    recipient = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True).stdout.strip()
    bench.drop = {"profile": "drop", "server": None, "server_ca": None, "client_certificate": None, "client_key": None,
                  "exchange_folder": bench.folder, "exchange_recipient": recipient}
    bench.port = 0
    bench.make_server()
    return bench


def opened(bench, name):
    return subprocess.run(
        ["age", "-d", "-i", bench.identity, bench.folder / "out" / name], check=True, capture_output=True).stdout


def give_worklist(bench):
    """What the secretariat would do: the day's Bundle, sealed for this laptop."""
    recipient = eventually("the laptop says who it is", lambda: (
        path := bench.folder / "out" / "laptop.age-recipient").exists() and path.read_text().strip())
    assert recipient.startswith("age1")
    bench.start_server()
    bundle = bench.fhir("Task?_include=Task:focus&_include=Task:patient&_count=100")
    bench.server.kill()
    sealed = subprocess.run(["age", "-r", recipient], input=json.dumps(bundle).encode(), check=True, capture_output=True).stdout
    (bench.folder / "in" / "worklist.json.age").write_bytes(sealed)
    bench.wait_for_visits()


@needs["age"]
def test_a_region_with_nothing(folder_region):
    bench = folder_region
    bench.folder.mkdir()
    bench.configure(**bench.drop)
    bench.start_agent()
    give_worklist(bench)
    record(bench, numbers=("1", "2"))
    ids = {d["id"]: d for d in documents(bench)}

    def written():
        return {p.name.split(".")[0] for p in (bench.folder / "out").glob("*.age") if "facts" not in p.name} >= set(ids)

    eventually("all is in the folder", written)
    for path in (bench.folder / "out").iterdir():
        content = path.read_bytes()
        assert b"DICM" not in content and b"Patient" not in content
    # The region opens them, and answers with what sha256sum says.
    lines = []
    for path in sorted((bench.folder / "out").glob("*.age")):
        plain = opened(bench, path.name)
        if "facts" in path.name:
            bundle = json.loads(plain)
            assert bundle["type"] == "transaction"
            continue
        document = ids[path.name.split(".")[0]]
        assert hashlib.sha256(plain).hexdigest() == document["sha256"]
        lines.append(f"{document['sha256']}  ./{path.name.removesuffix('.age')}\n")
    assert not any(d["state"] == "received" for d in documents(bench)), "nothing is received before it was said"
    (bench.folder / "in" / "monday.sha256").write_text("".join(lines))
    bench.cli("sync")
    found = eventually("received", lambda: all_received(bench))
    assert len(found) == len(ids)

    def final():
        bundles = [json.loads(opened(bench, p.name)) for p in (bench.folder / "out").glob("*.facts.json.age")]
        return {e["resource"]["id"] for b in bundles for e in b["entry"]
                if e["resource"].get("docStatus") == "final"} == set(ids)

    eventually("and the facts are final", final)


@needs["age"]
@pytest.mark.parametrize("what", ["the document", "the recording too"])
def test_a_damaged_document_keeps_no_other_out_of_the_folder(folder_region, what):
    """Built again where the recording is whole, else set aside; the others are in the folder either way."""
    bench = folder_region
    bench.folder.mkdir()
    bench.configure(**bench.drop)
    bench.start_agent()
    give_worklist(bench)
    shutil.rmtree(bench.folder)
    record(bench, numbers=("1", "2", "3"))
    bench.agent.stop()
    with contextlib.closing(sqlite3.connect(bench.state / "ess-agent.sqlite")) as store, store:
        [(first, recording)] = store.execute(
            "SELECT d.id, d.recording FROM document d JOIN outgoing o ON o.document = d.id "
            "WHERE d.id IN (SELECT document FROM document_part) ORDER BY o.urgency, o.begun, d.id LIMIT 1")
        triggers = store.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('document_part', 'chunk')").fetchall()
        for trigger, _ in triggers:
            store.execute(f"DROP TRIGGER {trigger}")
        store.execute("UPDATE document_part SET bytes = zeroblob(length(bytes)) WHERE document = ?", (first,))
        if what != "the document":
            store.execute("UPDATE chunk SET raw = zeroblob(length(raw)), decoded = zeroblob(length(decoded)) WHERE recording = ?", (recording,))
        for _, text in triggers:
            store.execute(text)
    bench.folder.mkdir()
    bench.start_agent()
    ids = {d["id"] for d in documents(bench)}

    def written():
        return {p.name.split(".")[0] for p in (bench.folder / "out").glob("*.age") if "facts" not in p.name}

    if what == "the document":
        eventually("all are in the folder", lambda: written() == ids)
        return
    eventually("all others are in the folder", lambda: written() >= {d["id"] for r in bench.recordings() for d in r["documents"]
                                                                    if r["id"] != recording})
    eventually("it is set aside", lambda: "quarantined" in [d["state"] for d in documents(bench) if d["id"] == first])


@needs["age"]
def test_a_question_and_its_answer_through_the_folder(folder_region):
    """A reply is a Bundle like the facts, once, and not lost by a folder that isn't there."""
    bench = folder_region
    bench.folder.mkdir()
    bench.configure(**bench.drop)
    bench.start_agent()
    give_worklist(bench)
    bench.start_server()
    patient = bench.fhir("Task/" + bench.visits()[0]["id"])["for"]["reference"]
    bench.server.kill()
    question = {
        "resourceType": "Bundle", "type": "collection", "entry": [{"resource": {
            "resourceType": "Communication", "id": "question-1", "status": "in-progress",
            "subject": {"reference": patient}, "sender": {"display": "Secrétariat"},
            "payload": [{"contentString": "Le poids du matin ?"}]}}]}
    recipient = (bench.folder / "out" / "laptop.age-recipient").read_text().strip()
    sealed = subprocess.run(["age", "-r", recipient], input=json.dumps(question).encode(), check=True, capture_output=True).stdout
    (bench.folder / "in" / "question.json.age").write_bytes(sealed)
    bench.cli("sync")
    [view] = eventually("here", lambda: bench.cli("opinions", "--json"))
    away = bench.folder.rename(bench.directory / "away")
    bench._run([bench.agent_binary, "reply", view["id"], "--config", bench.config], input="71 kg à jeun\n")
    bench.cli("sync")
    eventually("told", lambda: bench.cli("status", "--json")["sync"].get("problem") == "folder-missing")
    assert bench.cli("opinions", "--json")[0]["reply"]["isSent"] is False
    away.rename(bench.folder)
    bench.cli("sync")
    eventually("sent", lambda: bench.cli("opinions", "--json")[0]["reply"]["isSent"])
    bundles = [json.loads(opened(bench, p.name)) for p in (bench.folder / "out").glob("*.facts.json.age")]
    [entry] = [e for b in bundles for e in b["entry"] if e["resource"]["resourceType"] == "Communication"]
    assert entry["request"] == {"method": "PUT", "url": f"Communication/{entry['resource']['id']}"}
    assert entry["resource"]["payload"] == [{"contentString": "71 kg à jeun"}]
    assert entry["resource"]["inResponseTo"][0]["reference"] == "Communication/question-1"
    assert entry["resource"]["subject"]["reference"] == patient


@needs["age"]
@needs["openssl"]
def test_only_the_region_can_say_received(folder_region):
    bench = folder_region
    bench.folder.mkdir()
    key, public = bench.directory / "signer.key", bench.directory / "signer.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    bench.configure(**bench.drop, exchange_signer=public)
    bench.start_agent()
    give_worklist(bench)
    record(bench)
    listing = bench.folder / "in" / "a.sha256"
    listing.write_text("".join(f"{d['sha256']}  {d['id']}.dcm\n" for d in documents(bench)))
    bench.cli("sync")
    eventually("refused", lambda: "not signed" in bench.agent.text())
    assert not any(d["state"] == "received" for d in documents(bench))
    subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", listing, "-out", f"{listing}.sig"], check=True)
    bench.cli("sync")
    eventually("received", lambda: all_received(bench))


@needs["age"]
def test_a_key_that_is_not_there_keeps_everything_here(folder_region):
    bench = folder_region
    bench.configure(**bench.drop)
    bench.start_agent()
    eventually("told", lambda: bench.cli("status", "--json")["sync"].get("problem") == "folder-missing")
    assert not bench.folder.exists(), "a mount point without its key is not the place"
    bench.folder.mkdir()
    give_worklist(bench)


# server check


def test_what_a_server_is_good_for(bench):
    bench.make_server()
    bench.start_server()
    bench.configure()
    code, report = check(bench)
    assert (code, report["profile"]) == (0, "full"), report
    code, report = check(bench, "--profile", "pacs")
    assert code == 3 and not {f["key"]: f for f in report["findings"]}["dicomweb.search"]["isGood"]
    bench.server.kill()
    code, report = check(bench)
    assert (code, report["profile"]) == (3, "drop"), report
    bench.start_server("wrong-certificate=expired")
    code, report = check(bench)
    assert code == 3 and report["findings"][-1]["key"] == "reachable"
