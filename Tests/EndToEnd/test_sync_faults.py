"""Each thing that real servers and networks get wrong (the faults of ess-server), on the real binaries: every recording
arrives exactly once with the right hash, by itself, or is set aside loudly while the others arrive."""

import hashlib
import json
import shutil
import subprocess

import pytest
from bench import BIN, LONG, eventually

# A server that is locked or full is given 30 s and more: for `make test-long`.
slow = pytest.mark.skipif(not LONG, reason="takes half a minute: make test-long")


def documents(field):
    return [d for r in field.recordings() for d in r["documents"]]


@pytest.fixture
def loaded(bench):
    """A laptop with ECGs of a closed visit, all frozen, and the server down."""
    bench.make_server()
    bench.start_server()
    bench.configure(refusal_window="2")
    bench.start_agent()
    bench.wait_for_visits()
    bench.server.kill()
    bench.cli("visit", "open", bench.visits()[0]["id"])
    for number in ("1", "2"):
        bench.cli("import", bench.make_card("--number", number))
    bench.cli("visit", "close")
    eventually("everything is frozen", lambda: all(r["documents"] for r in bench.recordings()))
    return bench


def arrives(field, seconds=60):
    """Without any command: the pauses end by themselves."""

    def received():
        found = documents(field)
        return found and all(d["state"] == "received" for d in found)

    eventually("all is received", received, seconds=seconds)
    files = field.server_files()
    found = documents(field)
    assert {d["id"]: (d["size"], d["sha256"]) for d in found} == files
    return files


@pytest.mark.parametrize("faults", [
    ["status=409:2:bytes"], ["status=412:2:bytes"], ["status=413:2:bytes"], ["status=415:2:bytes"],
    ["done-but-status=415:2:bytes"], ["status=429:2:bytes"], ["status=460:2:bytes"], pytest.param(["status=503:1:create"], marks=slow),
    pytest.param(["status=507:1:create"], marks=slow), ["status=500:3"], ["status=404:2:head", "done-but-status=500:2:bytes"],
    ["done-but-status=500:1:facts"], ["status=429:2:facts"], ["status=409:1:facts"], ["status=404:1:create"],
    ["offset=zero:3", "drop-after-bytes=30000"], ["offset=ahead:2", "lose-answer=every:3"], ["offset=end:1", "lose-answer=every:4"],
    ["corrupt=1"], ["slow-receipts=5"], ["no-metadata", "lose-answer=every:3"], ["portal=3"], ["redirect=3"],
    ["status=401:2"], ["status=403:1:bytes"], ["status=502:2:worklist"], ["status=400:1:worklist"],
    ["status=501:3:worklist"], ["status=412:2:task"], ["status=405:9:task"], ["no-receipt=1"],
    *([f"status=429:2:{lane}"] for lane in ("worklist", "create", "head", "receipt", "hello", "task")),
], ids=" ".join)
def test_everything_arrives_once(loaded, faults):
    loaded.start_server(*faults)
    arrives(loaded)


def test_a_lock_lasts_as_long_as_the_server_says(loaded):
    """ess-server says `Retry-After: 1`: asked again soon, and a little later each time."""
    loaded.start_server("status=423:3:bytes")
    arrives(loaded, seconds=25)


@slow
def test_a_server_that_blocks_is_given_its_time(loaded):
    """What a dead connection holds up lives 30 s (sync.md 1.2.2): not asked again before, and the others go on."""
    loaded.start_server("status=503:1:bytes")
    count = len(documents(loaded))

    def all_but_one():
        return [d["state"] for d in documents(loaded)].count("received") == count - 1

    eventually("the others arrive meanwhile", all_but_one, seconds=25)
    [late] = [i for i in items(loaded)["items"] if i["state"] == "waiting"]
    assert late["notBefore"] and late["attempts"] == 1


def items(field):
    line = subprocess.run(
        ["curl", "-sS", "--unix-socket", field.socket, "http://localhost/api/sync/items"], capture_output=True, text=True,
        check=True).stdout
    return json.loads(line)


def test_a_server_that_is_full_gets_the_facts(loaded):
    loaded.start_server("status=507:all:create")
    view = eventually("told", lambda: (v := loaded.cli("status", "--json")["sync"]).get("problem") == "server-full" and v)
    assert "plein" in view["sentence"]
    found = loaded.fhir("DocumentReference?_count=50")["entry"]
    assert {e["resource"]["id"] for e in found} == {d["id"] for d in documents(loaded)}
    assert all(e["resource"]["docStatus"] == "preliminary" for e in found)
    assert loaded.server_files() == {}


@slow
def test_a_stalled_server_does_not_hold_the_agent(loaded):
    loaded.start_server("stall=1:bytes")
    arrives(loaded, seconds=75)


def test_poison_never_blocks_the_others(loaded):
    """One document that the server refuses is set aside; the rest of its visit arrives; requeue sends it after all."""
    victim = documents(loaded)[2]["id"]
    loaded.start_server(f"poison={victim}")
    eventually("the others arrive", lambda: all(
        d["state"] == "received" for d in documents(loaded) if d["id"] != victim), seconds=45)
    others = {d["id"] for d in documents(loaded) if d["id"] != victim}
    eventually("and are final", lambda: {
        e["resource"]["id"] for e in loaded.fhir("DocumentReference?_count=50").get("entry", [])
        if e["resource"]["docStatus"] == "final"} >= others, seconds=45)
    eventually("it is set aside", lambda: [d["id"] for d in documents(loaded) if d["state"] == "quarantined"] == [victim])
    status = loaded.cli("status", "--json")
    assert status["counts"]["quarantined"] == 1 and "signaler" in status["sentence"]
    [item] = [i for i in items(loaded)["items"] if i["state"] == "quarantined"]
    assert item["document"] == victim and "422" in item["detail"]
    loaded.server.kill()
    loaded.start_server()
    loaded.cli("requeue", victim)
    arrives(loaded)


def test_a_visit_that_is_refused_whole_ends_in_quarantine(loaded):
    loaded.start_server("status=422:all:facts")
    eventually("set aside", lambda: all(d["state"] == "quarantined" for d in documents(loaded)), seconds=45)


def test_wrong_bytes_are_sent_once_more_and_then_set_aside(loaded):
    loaded.start_server("corrupt=all")
    eventually("set aside", lambda: all(d["state"] == "quarantined" for d in documents(loaded)), seconds=60)
    assert loaded.server_files() == {}
    assert all(not d.get("receipt") for d in documents(loaded))
    loaded.server.kill()
    loaded.start_server()
    for document in documents(loaded):
        loaded.cli("requeue", document["id"])
    arrives(loaded)


def test_complete_without_a_receipt_is_sent_once_more_and_then_set_aside(loaded):
    """As if the server were killed each time between the last byte and the receipt: nobody asks without end."""
    loaded.start_server("no-receipt=all")
    eventually("set aside", lambda: all(d["state"] == "quarantined" for d in documents(loaded)), seconds=90)
    assert loaded.server_files() == {}
    created = loaded.server.text().count("route=/files method=POST")
    assert created in (0, 2 * len(documents(loaded))), created
    assert all("accusé de réception" in i["detail"] for i in items(loaded)["items"])
    assert "signaler" in loaded.cli("status", "--json")["sentence"]
    loaded.server.kill()
    # Its start finds the complete uploads; the next look at the worklist (here at once) is enough, and not a byte goes again.
    loaded.start_server("status=500:all:bytes")
    loaded.cli("sync")
    eventually("received", lambda: all(d["state"] == "received" for d in documents(loaded)), seconds=30)
    arrives(loaded)
    assert loaded.cli("audit", "verify")


@pytest.mark.parametrize("way", ["name", "expired"])
def test_a_wrong_certificate_gets_nothing(loaded, way):
    before = len(loaded.server.text())
    loaded.start_server(f"wrong-certificate={way}")
    eventually("told", lambda: loaded.cli("status", "--json")["sync"].get("problem") == "certificate")
    assert "route=" not in loaded.server.text()[before:]
    loaded.server.kill()
    loaded.start_server()
    arrives(loaded)


def test_a_server_put_back_from_a_backup_gets_what_it_lost(loaded):
    """The epoch changes; what is still there is asked for, what is gone is sent again; nobody says anything."""
    first = documents(loaded)
    loaded.start_server()
    arrives(loaded)
    loaded.server.stop()
    backup = loaded.directory / "backup"
    shutil.copytree(loaded.server_directory, backup)
    loaded.start_server()
    loaded.cli("visit", "open", loaded.visits()[1]["id"])
    loaded.cli("import", loaded.make_card("--number", "9"))
    loaded.cli("visit", "close")
    eventually("frozen", lambda: all(r["documents"] for r in loaded.recordings()))
    after = arrives(loaded)
    assert len(after) > len(first)
    loaded.server.stop()
    shutil.rmtree(loaded.server_directory)
    shutil.copytree(backup, loaded.server_directory)
    (loaded.server_directory / "recordings" / first[0]["id"]).unlink()
    subprocess.run([BIN / "ess-server", "restored", "--directory", loaded.server_directory], check=True, capture_output=True)
    loaded.start_server()
    eventually("it is all there again", lambda: loaded.server_files() == after, seconds=45)
    epochs = eventually("under the new epoch", lambda: len(
        found := {d["receipt"]["storeEpoch"] for d in documents(loaded) if d.get("receipt")}) == 1 and found)
    assert epochs
    eventually("facts too", lambda: {
        e["resource"]["id"] for e in loaded.fhir("DocumentReference?_count=100").get("entry", [])
        if e["resource"]["docStatus"] == "final"} == set(after), seconds=30)


def test_nothing_is_told_twice(loaded):
    """Lost answers everywhere: one resource of each, in one version of each state."""
    loaded.start_server("lose-answer=every:2")
    arrives(loaded)
    eventually("final", lambda: all(
        e["resource"]["docStatus"] == "final" for e in loaded.fhir("DocumentReference?_count=100")["entry"]))
    assert len(loaded.fhir("Encounter")["entry"]) == 1
    for document in documents(loaded):
        path = loaded.server_directory / "recordings" / document["id"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == document["sha256"]
