"""Servers and proxies that do what no document says (hostile.py), against the real binary: every recording arrives once with the right
hash, by itself, nothing goes elsewhere, and the agent neither grows nor hangs."""

import datetime
import email.utils
import functools
import gzip
import json
import os
import pathlib
import subprocess
import threading
import time

import pytest
from bench import LONG, eventually
from hostile import Elsewhere, Hostile

slow = pytest.mark.skipif(not LONG, reason="minutes: make test-long")


class Times:
    """An act for the first so many requests of some kind."""

    def __init__(self, count, act, lane=lambda x: True):
        self.left, self.act, self.lane, self.lock = count, act, lane, threading.Lock()

    def __call__(self, exchange):
        with self.lock:
            if self.left <= 0 or not self.lane(exchange):
                return False
            self.left -= 1
        return self.act(exchange) is not False


def always(act, lane=lambda x: True):
    return Times(10**9, act, lane)


def patch(x):
    return x.method == "PATCH"


def create(x):
    return x.method == "POST" and x.path.startswith("/files")


def facts(x):
    return x.method == "POST" and x.path.startswith("/fhir")


def head(x):
    return x.method == "HEAD"


def receipt(x):
    return x.path.endswith("/receipt")


def worklist(x):
    return x.method == "GET" and x.path.startswith("/fhir/Task")


def hello(x):
    return x.path.startswith("/.well-known")


def is_json(headers):
    return "json" in headers.get("Content-Type", "")


@pytest.fixture
def between(bench):
    """A laptop whose server is the proxy, with ECGs of a closed visit, all frozen; `bench.let(act)` brings the server up."""
    bench.make_server()
    bench.start_server()
    bench.elsewhere = Elsewhere()
    bench.proxy = Hostile(bench, lambda x: False)
    bench.configure(server=f"https://localhost:{bench.proxy.port}", refusal_window="2")
    bench.start_agent()
    bench.wait_for_visits()
    # Nobody is there for now.
    bench.proxy.act = lambda x: (x.reset(), True)[1]
    bench.cli("visit", "open", bench.visits()[0]["id"])
    bench.cli("import", bench.make_card("--number", "1"))
    bench.cli("visit", "close")
    eventually("everything is frozen", lambda: all(r["documents"] for r in bench.recordings()))

    def let(act):
        bench.proxy.act = act
        bench.cli("sync")

    bench.let = let
    yield bench
    bench.elsewhere.close()


def documents(field):
    return [d for r in field.recordings() for d in r["documents"]]


def arrives(field, seconds=60):
    def received():
        found = documents(field)
        return found and all(d["state"] == "received" for d in found)

    eventually("all is received", received, seconds=seconds)
    assert {d["id"]: (d["size"], d["sha256"]) for d in documents(field)} == field.server_files()
    assert field.elsewhere.visitors == 0
    eventually("the visit is told once", lambda: len(field.fhir("Encounter").get("entry", [])) == 1)


# Connections that end at each step


def reset_at_once(x):
    x.reset()


def reset_after_the_body(x):
    _ = x.body
    x.reset()


def done_and_reset(x):
    x.forward()
    x.reset()


def reset_in_the_middle_of_the_answer(x):
    status, headers, body = x.forward()
    x.answer(status, headers, body[:len(body) // 2], length=len(body))
    x.reset()


def end_in_the_answer_s_head(x):
    x.forward()
    x.send(b"HTTP/1.1 204 No Con")
    x.end()


def early_answer_and_end(x):
    """Refused before the body was read, as proxies do; the rest of it runs into a closed connection."""
    x.answer(408, body=b"too slow")
    x.reset()


LANES = {"create": create, "patch": patch, "head": head, "receipt": receipt, "facts": facts, "worklist": worklist, "hello": hello}


@pytest.mark.parametrize("act", [
    reset_at_once, reset_after_the_body, done_and_reset, reset_in_the_middle_of_the_answer, end_in_the_answer_s_head,
    early_answer_and_end], ids=lambda a: a.__name__)
def test_the_connection_ends_at_each_step(between, act):
    """Once in every kind of request, one after the other."""
    steps = [Times(1, act, lane) for lane in LANES.values()]
    between.let(lambda x: any(step(x) for step in steps))
    arrives(between)


def test_connections_that_are_refused_before_tls(between):
    between.proxy.refuse_next = 5
    between.let(lambda x: False)
    arrives(between)
    assert between.proxy.refuse_next == 0


# Answers that are legal and unusual: nothing is lost by them, not even an attempt


def unasked_interim_answers(x):
    answer = x.forward()
    x.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nUpload-Offset: 7\r\nUpload-Length: 1\r\n"
           b"Location: https://elsewhere.invalid/\r\n\r\n")
    x.answer(*answer)


def in_chunks(x):
    status, headers, body = x.forward()
    if status == 204 or x.method == "HEAD":
        return x.answer(status, headers, body)
    headers = {n: v for n, v in headers.items() if n.lower() not in ("content-length", "transfer-encoding")}
    lines = "".join(f"{n}: {v}\r\n" for n, v in headers.items())
    x.send(f"HTTP/1.1 {status} Ok\r\nTransfer-Encoding: chunked\r\n{lines}\r\n".encode())
    for start in range(0, len(body), 7):
        piece = body[start:start + 7]
        x.send(f"{len(piece):x};name=value\r\n".encode() + piece + b"\r\n")
    x.send(b"0\r\nX-Trailer: 1\r\n\r\n")


def packed(x):
    """gzip, whether it was asked for or not."""
    status, headers, body = x.forward()
    if is_json(headers) and body:
        headers, body = {**headers, "Content-Encoding": "gzip"}, gzip.compress(body)
    x.answer(status, headers, body)


def with_a_byte_order_mark(x):
    status, headers, body = x.forward()
    x.answer(status, headers, b"\xef\xbb\xbf" + body if is_json(headers) and body else body)


def in_lower_case(x):
    status, headers, body = x.forward()
    x.answer(status, {n.lower(): v for n, v in headers.items()}, body)


def over_http_1_0(x):
    status, headers, body = x.forward()
    x.answer(status, headers, body, version="HTTP/1.0")
    x.end()


def without_a_reason(x):
    x.answer(*x.forward(), reason="")


def one_request_a_connection(x):
    status, headers, body = x.forward()
    x.send(b"")
    x.answer(status, {**headers, "X-Close": "1"}, body)
    x.end()


def two_hundred_for_everything(x):
    """200 where tus says 201 or 204; the ping is ours, and stays 204."""
    status, headers, body = x.forward()
    x.answer(200 if status in (201, 204) and not x.path.endswith("/ping") else status, headers, body)


def absolute_over_http(x):
    """A server behind a proxy that ends TLS believes that it is http:."""
    status, headers, body = x.forward()
    for name in [n for n in headers if n.lower() == "location"]:
        headers[name] = f"http://localhost:{x.proxy.port}{headers[name]}"
    x.answer(status, headers, body.replace(b'"https://localhost', b'"http://localhost') if worklist(x) else body)


def absolute(x):
    status, headers, body = x.forward()
    for name in [n for n in headers if n.lower() == "location"]:
        headers[name] = f"https://LOCALHOST:{x.proxy.port}{headers[name]}#here"
    x.answer(status, headers, body)


def relative(x):
    status, headers, body = x.forward()
    for name in [n for n in headers if n.lower() == "location"]:
        headers[name] = headers[name].lstrip("/")
    x.answer(status, headers, body)


def long_ago(x):
    status, headers, body = x.forward()
    headers = {n: v for n, v in headers.items() if n.lower() != "date"}
    x.answer(status, {**headers, "Date": "Thu, 01 Jan 1970 00:00:00 GMT"}, body)


def a_part_is_enough(x):
    """The server keeps half of each chunk, and says so."""
    if not patch(x) or x.length < 5000:
        return False
    x.answer(*x.forward(x.body[:x.length // 2]))


@pytest.mark.parametrize("act", [
    unasked_interim_answers, in_chunks, packed, with_a_byte_order_mark, in_lower_case, over_http_1_0, without_a_reason,
    one_request_a_connection, two_hundred_for_everything, absolute_over_http, absolute, relative, long_ago,
], ids=lambda a: a.__name__)
def test_legal_and_unusual(between, act):
    between.let(always(act))
    arrives(between, seconds=30)
    sent = [length for method, _, length in between.proxy.seen if method == "PATCH"]
    assert sum(sent) == sum(d["size"] for d in documents(between)), "each byte once"


def test_a_server_that_takes_a_part_of_each_chunk(between):
    # Without a checksum over the whole chunk: that one would be refused, rightly.
    def act(x):
        if x.method == "OPTIONS":
            status, headers, body = x.forward()
            headers = {n: v for n, v in headers.items() if "checksum" not in n.lower()}
            return x.answer(status, {**headers, "tus-extension": "creation"}, body) or True
        return False if a_part_is_enough(x) is False else True

    between.let(act)
    arrives(between)


# Answers that are wrong, some times


def offset(value):
    def act(x):
        status, headers, body = x.forward()
        headers = {n: v for n, v in headers.items() if n.lower() != "upload-offset"}
        x.answer(status, {**headers, **({} if value is None else {"Upload-Offset": value})}, body)
    act.__name__ = f"offset_{value}"
    return act


def location(value):
    def act(x):
        status, headers, body = x.forward()
        headers = {n: v for n, v in headers.items() if n.lower() != "location"}
        found = value(x) if callable(value) else value
        x.answer(status, {**headers, **({} if found is None else {"Location": found})}, body)
    return act


def plain(status, headers=None, body=b""):
    def act(x):
        _ = x.body
        x.answer(status, headers, body)
    act.__name__ = f"plain_{status}_{len(body)}"
    return act


HTML = {"Content-Type": "text/html; charset=utf-8"}
JSON = {"Content-Type": "application/json"}
PAGE = b"<html><body>Bienvenue. Connectez-vous.</body></html>"


@pytest.mark.parametrize("value", [None, "1000000000000", "-1", "12x", "99999999999999999999999"])
def test_wrong_offsets(between, value):
    acts = [Times(2, offset(value), patch), Times(2, offset(value), head), Times(1, reset_at_once, patch)]
    between.let(lambda x: any(act(x) for act in acts))
    arrives(between)


@pytest.mark.parametrize("act", [
    plain(200), plain(200, JSON, b'{"resourceType":"Bund'), plain(200, JSON, b"[" * 100_000), plain(204), plain(200, HTML, PAGE),
    plain(304), plain(511, HTML, PAGE), *(pytest.param(act, marks=slow) for act in (
        plain(200, JSON), plain(200, JSON, b"{}"), plain(200, JSON, b"null"), plain(200, JSON, b"\xff\xfe\x00"),
        plain(200, {}, b"ok"), plain(302, {"Location": "/login"}), plain(418), plain(407, HTML, PAGE))),
], ids=lambda a: a.__name__)
def test_nonsense_to_everything_for_a_while(between, act):
    """Whatever was asked, the same answer; then everything is as it should be."""
    between.let(Times(6, act))
    arrives(between)


@pytest.mark.parametrize("act", [plain(200), plain(200, HTML, PAGE), plain(200, JSON, b"{}")], ids=lambda a: a.__name__)
def test_nonsense_to_each_kind_of_request(between, act):
    acts = [Times(2, act, lane) for lane in LANES.values()] + [Times(1, reset_at_once, patch)]
    between.let(lambda x: any(a(x) for a in acts))
    arrives(between)


@pytest.mark.parametrize("way", ["https", "slashes", "http", "user", "port"])
def test_a_location_elsewhere_gets_nothing(between, way):
    port = between.elsewhere.port
    target = {
        "https": f"https://127.0.0.1:{port}/files/1", "slashes": f"//127.0.0.1:{port}/files/1",
        "http": f"http://127.0.0.1:{port}/files/1", "user": f"https://localhost@127.0.0.1:{port}/files/1",
        "port": f"https://localhost:{port}/files/1"}[way]
    between.let(Times(3, location(target), create))
    arrives(between)


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_redirect_elsewhere_gets_nothing(between, status):
    port = between.elsewhere.port
    acts = [Times(1, plain(status, {"Location": f"{scheme}://localhost:{port}/x"}), lane)
            for lane in LANES.values() for scheme in ("https", "http")]
    acts.append(Times(1, plain(status, {"Location": f"http://localhost:{between.proxy.port}/x"}), facts))
    between.let(lambda x: any(act(x) for act in acts))
    arrives(between)


def test_addresses_of_the_offer_elsewhere_get_nothing(between):
    port = between.elsewhere.port

    def act(x):
        status, headers, body = x.forward()
        offer = json.loads(body)
        offer["bytes"][0]["url"] = f"https://localhost:{port}/files"
        offer["receipts"] = f"https://localhost:{port}/ess/v1/recordings"
        headers = {n: v for n, v in headers.items() if n.lower() != "etag"}
        x.answer(status, headers, json.dumps(offer).encode())

    between.let(Times(2, act, hello))
    arrives(between)


def test_pages_elsewhere_get_nothing(between):
    port = between.elsewhere.port

    def act(x):
        status, headers, body = x.forward()
        bundle = json.loads(body)
        bundle["link"] = [{"relation": "next", "url": f"https://localhost:{port}/fhir/Task?page=2"}]
        x.answer(status, headers, json.dumps(bundle).encode())

    between.let(Times(2, act, worklist))
    arrives(between)


def test_pages_without_end_end(between):
    """Each page names another one: a bound, not the server's patience, ends it."""
    pages = iter(range(10**9))

    def act(x):
        status, headers, body = x.forward()
        bundle = json.loads(body)
        bundle["link"] = [{"relation": "next", "url": f"/fhir/Task?page={next(pages)}"}]
        x.answer(status, headers, json.dumps(bundle).encode())

    asked = always(act, worklist)
    between.let(asked)
    arrives(between)
    assert next(pages) < 3000


# Time


@pytest.mark.parametrize("value, status", [
    ("-5", 429), ("0", 503), ("soon", 429), ("", 503), ("1.5", 429), ("date", 429), ("date", 503), ("past", 429),
    ("Sun, 99 Foo 2026 99:99:99 GMT", 503)])
def test_retry_after(between, value, status):
    now = datetime.datetime.now(datetime.timezone.utc)
    known = {"date": now + datetime.timedelta(seconds=1), "past": now - datetime.timedelta(days=400)}
    text = email.utils.format_datetime(known[value], usegmt=True) if value in known else value
    headers = {"Retry-After": text, "Date": email.utils.format_datetime(now, usegmt=True)}
    acts = [Times(1, plain(status, headers), lane) for name, lane in LANES.items()
            # 503 to an upload is a lock's half minute.
            if status == 429 or name not in ("create", "patch", "head")]
    between.let(lambda x: any(act(x) for act in acts))
    arrives(between, seconds=45)


def test_a_server_that_asks_for_a_year_gets_an_hour(between):
    between.let(Times(1, plain(429, {"Retry-After": "99999999999999999999"}), create))

    def held():
        line = subprocess.run(["curl", "-sS", "--unix-socket", between.socket, "http://localhost/api/sync/items"],
                              capture_output=True, text=True, check=True).stdout
        return [i["notBefore"] for i in json.loads(line)["items"] if i.get("notBefore")]

    [until] = eventually("held", held)
    wait = datetime.datetime.fromisoformat(until) - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=50) < wait <= datetime.timedelta(hours=1)
    # A person who asks isn't made to wait.
    seen = len(between.proxy.seen)
    between.cli("sync")
    eventually("asked at once", lambda: len(between.proxy.seen) > seen)


def test_a_busy_server_is_not_hammered(between):
    """429 to each upload: the backlog isn't run through against a closed door."""
    between.cli("visit", "open", between.visits()[0]["id"])
    between.cli("import", between.make_card("--cases", "10", "--seconds", "1"))
    between.cli("visit", "close")
    eventually("frozen", lambda: len(documents(between)) >= 22)
    between.let(always(plain(429, {"Retry-After": "2"}), create))
    start = time.monotonic()
    eventually("refused", lambda: [m for m, p, _ in between.proxy.seen if m == "POST" and p == "/files"])
    eventually("and again", lambda: time.monotonic() - start > 8, seconds=20)
    assert len([m for m, p, _ in between.proxy.seen if m == "POST" and p == "/files"]) <= 5
    between.let(lambda x: False)
    arrives(between, seconds=90)


@slow
@pytest.mark.parametrize("lane", ["patch", "receipt", "worklist"])
def test_an_answer_that_drips_in(between, lane):
    """Two bytes a second: never silent, never done. It is given up, and the rest goes on."""

    def drip(x):
        _ = x.body
        x.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(2000):
            x.send(b"ab")
            time.sleep(1)

    between.let(Times(1, drip, LANES[lane]))
    arrives(between, seconds=400)


# Size


def memory(field):
    status = pathlib.Path(f"/proc/{field.agent.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) << 10


def endless_body(x):
    _ = x.body
    x.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    while True:
        x.send(piece)


@functools.cache
def half_a_gigabyte():
    return gzip.compress(b" " * (1 << 29), 1)


def bomb(x):
    """Half a gigabyte in two megabytes."""
    _ = x.body
    x.answer(200, {**JSON, "Content-Encoding": "gzip"}, half_a_gigabyte())


def endless_head(x):
    _ = x.body
    x.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        x.send(b"X-More: " + b"x" * 1000 + b"\r\n")


def endless_interim(x):
    _ = x.body
    while True:
        x.send(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 100)


@pytest.mark.parametrize("act", [endless_body, bomb, endless_head, endless_interim], ids=lambda a: a.__name__)
def test_answers_without_end(between, act):
    before = memory(between)
    acts = [Times(1, act, lane) for name, lane in LANES.items() if name != "head"]
    between.let(lambda x: any(a(x) for a in acts))
    arrives(between, seconds=90)
    assert memory(between) - before < 150 << 20


def test_a_proxy_that_takes_no_large_body(between):
    """nginx's 413 page (its default is 1 MB; here less, so that a small file shows it). Learned once, not once a chunk."""
    def act(x):
        if x.length <= 40_000:
            return False
        x.answer(413, HTML, b"<html><h1>413 Request Entity Too Large</h1></html>")
        x.reset()
        return True

    between.let(lambda x: patch(x) and act(x))
    arrives(between)
    refused = [length for method, _, length in between.proxy.seen if method == "PATCH" and length > 40_000]
    assert len(refused) <= 3 * len(documents(between))


def test_a_proxy_that_gives_up_while_the_server_goes_on(between):
    def act(x):
        x.forward()
        x.answer(502, HTML, b"<html>502</html>")

    acts = [Times(2, act, lane) for lane in (patch, create, facts, receipt)]
    between.let(lambda x: any(a(x) for a in acts))
    arrives(between)


def test_a_lock_that_our_own_dead_connection_holds(between):
    """Cut in the middle, then 423 without a word of how long: asked again soon and ever later, not only after half a minute."""
    times, paths = [], []

    def cut_off(x):
        paths.append(x.path)
        reset_after_the_body(x)

    def locked(x):
        times.append(time.monotonic())
        _ = x.body
        x.answer(423)

    cut = Times(1, cut_off, patch)
    lock = Times(4, locked, lambda x: x.path in paths)
    between.let(lambda x: cut(x) or (cut.left == 0 and lock(x)))
    arrives(between, seconds=30)
    pauses = [b - a for a, b in zip(times, times[1:])]
    # The first of them is the same request again (libcurl's) or the question after it: at once.
    pauses = [pause for pause in pauses if pause > 0.5]
    assert len(pauses) >= 2 and all(b > 1.5 * a for a, b in zip(pauses, pauses[1:])), pauses


# Names, addresses, certificates


def named(bench, hosts, **settings):
    """The agent in a mount namespace whose /etc/hosts is that file: a name server that can be told what to say."""
    bench._run([bench.server_binary, "init", "--directory", bench.server_directory, "--host", "ess.test"])
    bench.make_server()
    bench.start_server()
    bench.configure(server=f"https://ess.test:{bench.port}", **settings)
    nss = bench.directory / "nsswitch.conf"
    nss.write_text("hosts: files\n")
    bench.start_agent(wrapper=(
        "unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && mount --bind {nss} /etc/nsswitch.conf && exec "$@"', "sh"))


root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a mount namespace")


@root
def test_a_name_that_is_found_later(bench):
    hosts = bench.directory / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    named(bench, hosts)
    eventually("told", lambda: "resolve" in bench.cli("status", "--json")["sync"].get("detail", ""))
    assert bench.cli("status", "--json")["sync"]["state"] == "offline"
    hosts.write_text("127.0.0.1 localhost ess.test\n")
    bench.wait_for_visits()


@root
@pytest.mark.parametrize("dead", ["::1", "2001:db8::1", "192.0.2.1"])
def test_an_address_that_is_dead_is_not_the_last(bench, dead):
    """The first of two addresses refuses, or leads nowhere."""
    hosts = bench.directory / "hosts"
    hosts.write_text(f"{dead} ess.test\n127.0.0.1 localhost ess.test\n")
    named(bench, hosts)
    bench.wait_for_visits()


def certificate(bench, name, start, end):
    """Of the server's own key, signed by its authority, for other dates."""
    authority, place = bench.server_directory / "authority", bench.directory / name
    place.mkdir()
    (place / "index").write_text("")
    (place / "serial").write_text("77\n")
    (place / "ca.conf").write_text(f"""[ca]
default_ca = here
[here]
database = {place}/index
serial = {place}/serial
new_certs_dir = {place}
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = DNS:localhost
[req]
distinguished_name = dn
[dn]
""")
    run = lambda *words: subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)  # noqa: E731
    run("req", "-new", "-key", authority / "server.key", "-subj", "/CN=localhost", "-out", place / "request", "-config", place / "ca.conf")
    run("ca", "-batch", "-config", place / "ca.conf", "-in", place / "request", "-out", place / "server.pem", "-cert", authority / "ca.pem",
        "-keyfile", authority / "ca.key", "-startdate", start, "-enddate", end, "-notext")
    return place / "server.pem", authority / "server.key"


@pytest.mark.parametrize("start, end", [("20100101000000Z", "20200101000000Z"), ("20450101000000Z", "20460101000000Z")],
                         ids=["expired", "not-yet"])
def test_a_certificate_of_another_time_is_told_as_such(bench, start, end):
    """A laptop whose clock is wrong sees the same: the sentence says to look at the date."""
    bench.make_server()
    bench.start_server()
    proxy = Hostile(bench, lambda x: False, certificate(bench, "other-dates", start, end))
    bench.configure(server=f"https://localhost:{proxy.port}")
    bench.start_agent()
    view = eventually("told", lambda: (v := bench.cli("status", "--json")["sync"]).get("problem") == "certificate" and v)
    assert "date" in view["sentence"]
    assert proxy.seen == []
