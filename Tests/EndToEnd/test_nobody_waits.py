"""One thing that a server, or something in front of it, always treats badly: it alone waits, and the rest goes on. On the real binaries."""

import base64
import hashlib
import json
import threading

import pytest
from bench import LONG, eventually
from hostile import Elsewhere, Hostile
from test_hostile import (
    JSON, Times, always, arrives, create, documents, facts, head, hello, memory, patch, plain, receipt, reset_after_the_body, worklist)

slow = pytest.mark.skipif(not LONG, reason="minutes: make test-long")


def prepared(bench, visits=2, **settings):
    """A laptop with recordings of several closed visits; `bench.let(act)` brings the server up behind the proxy."""
    bench.make_server()
    bench.start_server()
    bench.elsewhere = Elsewhere()
    bench.proxy = Hostile(bench, lambda x: False)
    bench.configure(server=f"https://localhost:{bench.proxy.port}", refusal_window="2", **settings)
    bench.start_agent()
    bench.wait_for_visits()
    bench.proxy.act = lambda x: (x.reset(), True)[1]
    names = [visit["id"] for visit in bench.visits()[:visits]]
    for number, visit in enumerate(names, 1):
        bench.cli("visit", "open", visit)
        bench.cli("import", bench.make_card("--number", str(number)))
        bench.cli("visit", "close")
    eventually("everything is frozen", lambda: all(r["documents"] for r in bench.recordings()))

    def let(act):
        bench.proxy.seen.clear()
        bench.proxy.act = act
        bench.cli("sync")

    bench.let = let
    return names


def states(bench, visit=None):
    return {d["id"]: d["state"] for r in bench.recordings() if visit in (None, r["visit"]) for d in r["documents"]}


def rid(x):
    """Of the document that an upload is created for."""
    metadata = dict(part.split(" ") for part in x.headers["upload-metadata"].split(",") if " " in part)
    return base64.b64decode(metadata["rid"]).decode()


class Uploads:
    """Which upload is whose."""

    def __init__(self):
        self.rids = {}

    def created(self, x):
        status, headers, body = x.forward()
        self.rids[headers["Location"].rsplit("/", 1)[-1]] = rid(x)
        x.answer(status, headers, body)

    def of(self, x):
        return self.rids.get(x.path.rsplit("/", 1)[-1])


# The connection breaks each time


def test_facts_that_always_break_the_connection_keep_nobody_else(bench):
    """A filter that dislikes what one visit's transaction says, and resets; or a proxy that never answers it."""
    first, second = prepared(bench)
    refused = threading.Event()

    def act(x):
        if facts(x) and first.encode() in x.body and not refused.is_set():
            x.reset()
            return True
        return False

    bench.let(act)
    eventually("the other visit arrived", lambda: set(states(bench, second).values()) == {"received"}, seconds=60)
    eventually("and is told", lambda: any(first not in json.dumps(e) for e in bench.fhir("Encounter").get("entry", [])))
    # Nobody said no: it is never set aside, and goes as soon as it may.
    assert "quarantined" not in states(bench, first).values()
    refused.set()
    bench.cli("sync")
    arrives_both(bench)


def arrives_both(bench):
    eventually("all is received", lambda: set(states(bench).values()) == {"received"}, seconds=90)
    assert {d["id"]: (d["size"], d["sha256"]) for d in documents(bench)} == bench.server_files()
    eventually("both visits are told", lambda: len(bench.fhir("Encounter").get("entry", [])) == 2, seconds=30)
    assert bench.elsewhere.visitors == 0


def test_a_document_that_always_breaks_the_connection_keeps_nobody_else(bench):
    prepared(bench)
    uploads, bad, healed = Uploads(), [], threading.Event()

    def act(x):
        if create(x):
            uploads.created(x)
            bad.append(rid(x))
            return True
        if patch(x) and uploads.of(x) == bad[0] and not healed.is_set():
            reset_after_the_body(x)
            return True
        return False

    bench.let(act)

    def others():
        found = states(bench)
        return bad and all(state == "received" for id, state in found.items() if id != bad[0])

    eventually("the others arrived", others, seconds=60)
    assert states(bench)[bad[0]] not in ("received", "quarantined")
    assert bench.cli("status", "--json")["sync"]["state"] in ("online", "offline", "sending")
    healed.set()
    bench.cli("sync")
    arrives_both(bench)


# Answers without an end, where there are no receipts


def binary(x):
    return "/Binary/" in x.path


def test_a_binary_without_an_end_is_given_up(bench):
    """What is read back goes on and on: neither memory nor time goes there."""
    prepared(bench, visits=1, profile="fhir")
    before = memory(bench)
    ended = threading.Event()

    def endless(x):
        x.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
        try:
            # No faster than a laptop hashes: what nobody reads would end it, too.
            while not ended.wait(0.01):
                x.send(piece)
        finally:
            ended.set()

    bench.let(Times(1, endless, lambda x: x.method == "GET" and binary(x)))
    eventually("received", lambda: set(states(bench).values()) == {"received"}, seconds=60)
    assert ended.is_set()
    assert memory(bench) - before < 150 << 20
    for document in documents(bench):
        stored = (bench.server_directory / "binaries" / document["id"]).read_bytes()
        assert hashlib.sha256(stored).hexdigest() == document["sha256"]


@slow
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_an_answer_to_a_binary_that_drips_in(bench, method):
    """Never silent, never done: two minutes and what the document's size is worth, then the rest goes on."""
    prepared(bench, visits=1, profile="fhir")
    stop = threading.Event()

    def drip(x):
        _ = x.body
        x.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n")
        while not stop.wait(1):
            x.send(b"ab")

    bench.let(Times(1, drip, lambda x: x.method == method and binary(x)))
    eventually("received", lambda: set(states(bench).values()) == {"received"}, seconds=400)
    stop.set()


# tus


def test_an_offset_that_goes_to_and_fro(bench):
    """409 to each chunk, and HEAD says 0 and 1000 by turns: the visits and answers are still asked for."""
    prepared(bench, visits=1, worklist_interval="1")
    heads = []

    def act(x):
        if patch(x):
            _ = x.body
            x.answer(409, {"Tus-Resumable": "1.0.0"})
            return True
        if head(x):
            heads.append(x.path)
            x.answer(200, {"Tus-Resumable": "1.0.0", "Upload-Offset": str(1000 * (len(heads) % 2)), "Cache-Control": "no-store"})
            return True
        return False

    bench.let(act)
    eventually("tried", lambda: len(heads) > 3)
    seen = len([path for _, path, _ in bench.proxy.seen if path == "/fhir/Task"])
    eventually("the worklist is asked for again",
               lambda: len([path for _, path, _ in bench.proxy.seen if path == "/fhir/Task"]) > seen + 1, seconds=30)


class Clearing:
    """A tus server that knows an upload no more when it is complete, as far as it goes: recordings and their receipts."""

    def __init__(self, pending=0):
        self.open, self.stored, self.completed, self.lost = {}, {}, [], set()
        self.pending = pending

    def __call__(self, x):
        tus = {"Tus-Resumable": "1.0.0"}
        name = x.path.rsplit("/", 1)[-1]
        if x.method == "OPTIONS":
            x.answer(204, {**tus, "Tus-Version": "1.0.0", "Tus-Extension": "creation"})
        elif create(x):
            name = str(len(self.open) + len(self.completed) + 1)
            self.open[name] = [rid(x), int(x.headers["upload-length"]), b""]
            x.answer(201, {**tus, "Location": f"/files/{name}"})
        elif patch(x):
            return self.append(x, name, tus)
        elif head(x):
            if name not in self.open:
                x.answer(404, tus)
            else:
                _, size, data = self.open[name]
                x.answer(200, {**tus, "Upload-Offset": str(len(data)), "Upload-Length": str(size)})
        elif receipt(x):
            id = x.path.split("/")[-2]
            if id not in self.stored:
                x.answer(404)
            elif self.pending > 0:
                self.pending -= 1
                x.answer(202, {"Retry-After": "1"})
            else:
                data = self.stored[id]
                x.answer(200, JSON, json.dumps({
                    "rid": id, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "storedAt": "2026-11-28T00:00:00Z",
                    "durability": "fsync", "storeEpoch": "x"}).encode())
        else:
            return False
        return True

    def append(self, x, name, tus):
        if name not in self.open:
            _ = x.body
            x.answer(404, tus)
            return True
        upload = self.open[name]
        if int(x.headers["upload-offset"]) != len(upload[2]):
            _ = x.body
            x.answer(409, tus)
            return True
        upload[2] += x.body
        if len(upload[2]) < upload[1]:
            x.answer(204, {**tus, "Upload-Offset": str(len(upload[2]))})
            return True
        self.completed.append(upload[0])
        self.stored[upload[0]] = upload[2]
        del self.open[name]
        if upload[0] in self.lost:
            x.answer(204, {**tus, "Upload-Offset": str(upload[1])})
        else:
            self.lost.add(upload[0])
            x.reset()
        return True


@pytest.mark.parametrize("pending", [0, 12])
def test_a_lost_last_answer_of_a_server_that_clears_uploads(bench, pending):
    """Complete, gone, and nobody heard: the receipt is asked for before anything is sent again."""
    prepared(bench, visits=1)
    server = Clearing(pending)
    bench.let(server)
    eventually("received", lambda: set(states(bench).values()) == {"received"}, seconds=60)
    assert sorted(server.completed) == sorted(states(bench)), "each once"


# What isn't about the document


@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests", "204 No Content", "304 Not Modified"])
def test_an_entry_s_status_means_what_it_means_alone(bench, status):
    """A batch-like server answers 200 and says for one entry that it is busy, or that there was nothing to do: no poison."""
    prepared(bench, visits=1)
    times = 12 if status[0] in "45" else 10**9

    def act(x):
        code, headers, body = x.forward()
        bundle = json.loads(body)
        bundle["entry"][-1]["response"]["status"] = status
        x.answer(code, headers, json.dumps(bundle).encode())

    busy = Times(times, act, facts)
    aside = []

    def watched():
        found = states(bench)
        aside.extend(id for id, state in found.items() if state == "quarantined")
        return set(found.values()) == {"received"} and (times > 12 or busy.left == 0)

    bench.let(busy)
    eventually("received", watched, seconds=60)
    assert not aside
    arrives(bench)


def test_a_redirect_on_the_same_host_sets_nothing_aside(bench):
    """The region moves its FHIR base: for longer than a refusal needs to count."""
    prepared(bench, visits=1)
    moved = Times(12, plain(307, {"Location": "/fhir/R4/"}), facts)
    bench.let(moved)
    eventually("asked again and again", lambda: moved.left == 0, seconds=60)
    assert "quarantined" not in states(bench).values()
    arrives(bench)


@pytest.mark.parametrize("status", [400, 403, 410])
def test_a_filter_that_lets_no_options_through(bench, status):
    prepared(bench, visits=1)
    bench.let(always(plain(status, {"Content-Type": "text/plain"}, b"method not allowed by policy"), lambda x: x.method == "OPTIONS"))
    arrives(bench)


def test_what_is_set_aside_is_never_up_to_date(bench):
    prepared(bench, visits=1)
    bench.let(always(plain(422, JSON, b"{}"), create))
    eventually("set aside", lambda: "quarantined" in states(bench).values(), seconds=60)
    view = eventually("settled", lambda: (v := bench.cli("status", "--json")["sync"])["isSettled"] and v, seconds=60)
    assert "signaler au centre" in view["sentence"]


# The offer


def offered(change):
    def act(x):
        status, headers, body = x.forward()
        offer = json.loads(body)
        change(offer)
        x.answer(status, {n: v for n, v in headers.items() if n.lower() != "etag"}, json.dumps(offer).encode())

    return always(act, hello)


@pytest.mark.parametrize("item", [
    {"kind": "stow", "url": "https://pacs.region.example/dicom-web"}, {"kind": "webtransport"}, {"kind": "tus2", "url": 7}, "tus"],
    ids=["elsewhere", "without-url", "wrong-type", "text"])
def test_an_item_of_the_offer_that_is_of_no_use(bench, item):
    prepared(bench, visits=1)
    bench.let(offered(lambda offer: offer["bytes"].insert(0, item)))
    arrives(bench)


def test_receipts_in_a_place_of_their_own(bench):
    prepared(bench, visits=1)
    asked = []

    def act(x):
        if not x.path.startswith("/ess/v1/proofs/"):
            return offer(x)
        asked.append(x.path)
        x.target = f"/ess/v1/recordings/{x.path.split('/')[-1]}/receipt"
        x.answer(*x.forward())
        return True

    offer = offered(lambda found: found.update(receipts="/ess/v1/proofs/{rid}"))
    bench.let(act)
    arrives(bench)
    assert asked
    for entry in bench.fhir("DocumentReference")["entry"]:
        assert "{" not in entry["resource"]["content"][0]["attachment"]["url"]


# What comes down


@pytest.mark.parametrize("way", ["elsewhere", "endless"])
def test_visits_of_a_worklist_that_has_no_end(bench, way):
    """The next page is on an inner host, or there is always another one: what came is here, and the rest is told of."""
    bench.make_server()
    bench.start_server()
    pages = iter(range(10**9))

    def act(x):
        status, headers, body = x.forward()
        bundle = json.loads(body)
        url = "http://hapi:8080/fhir?_getpages=1" if way == "elsewhere" else f"/fhir/Task?page={next(pages)}"
        bundle["link"] = [{"relation": "next", "url": url}]
        x.answer(status, headers, json.dumps(bundle).encode())

    broken = Times(10**9, act, worklist)
    bench.proxy = Hostile(bench, broken)
    bench.configure(server=f"https://localhost:{bench.proxy.port}")
    bench.start_agent()
    assert len(bench.wait_for_visits()) >= 3
    view = eventually("told", lambda: (v := bench.cli("status", "--json")["sync"]).get("problem") == "worklist" and v, seconds=60)
    assert view["state"] == "online"
    eventually("in words", lambda: "liste des visites" in bench.cli("status", "--json")["sync"]["sentence"], seconds=60)
    broken.left = 0
    bench.cli("sync")
    eventually("and over", lambda: "problem" not in bench.cli("status", "--json")["sync"])
