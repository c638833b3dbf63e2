"""The contract of the reference ESS server, from outside: real TLS, real files, real kill -9.

Needs pytest and requests. The binary is ESS_BIN_DIR/ess-server, or .build/debug/ess-server.
"""

import base64
import concurrent.futures
import hashlib
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import ssl
import stat
import subprocess
import time
import uuid

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("ESS_BIN_DIR") or ROOT / ".build" / "debug") / "ess-server"
OCTETS = "application/offset+octet-stream"
TUS = {"Tus-Resumable": "1.0.0"}
WORKLIST = (
    "/fhir/Task?owner=Organization/equipe-mobile"
    "&status=requested,received,accepted,ready,in-progress,on-hold"
    "&_include=Task:focus&_include=Task:patient"
)

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")


def tool(*arguments, fails=False):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert (done.returncode != 0) == fails, done.stderr + done.stdout
    return done.stdout + done.stderr


class Server:
    def __init__(self, directory, laptop, log):
        self.directory, self.laptop, self.log = directory, laptop, log
        self.process = None
        self.session = None

    def start(self, *extra):
        port_file = self.directory.parent / "port"
        port_file.unlink(missing_ok=True)
        self.log.parent.mkdir(exist_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "serve", "--directory", self.directory, "--port", "0", "--port-file", port_file, *extra],
                stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline().decode()
        match = re.fullmatch(r"ess-server listening on https://localhost:(\d+)\n", line)
        assert match, line
        assert port_file.read_text().strip() == match[1]
        self.port = int(match[1])
        self.base = f"https://localhost:{self.port}"
        self.session = self.new_session()
        return self

    def new_session(self):
        session = requests.Session()
        session.verify = str(self.laptop / "ca.pem")
        session.cert = (str(self.laptop / "client.pem"), str(self.laptop / "client.key"))
        session.trust_env = False
        return session

    def request(self, method, path, **options):
        options.setdefault("timeout", 30)
        return self.session.request(method, path if path.startswith("http") else self.base + path, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def put(self, path, resource, **headers):
        return self.request("PUT", path, json=resource, headers=headers)

    def post(self, path, resource, **headers):
        return self.request("POST", path, json=resource, headers=headers)

    def kill(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(15)
            self.process.stdout.close()
            return code

    # tus

    def announce(self, data, rid=None, sha256=None, body=None, length=None, **more):
        rid = rid or str(uuid.uuid4())
        fields = {
            "rid": rid, "sha256": sha256 or hashlib.sha256(data).hexdigest(), "filename": "ecg.dcm",
            "filetype": "application/dicom", "visit": "visite-demo-1", **more,
        }
        metadata = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in fields.items() if v is not None)
        headers = {**TUS, "Upload-Length": str(len(data) if length is None else length), "Upload-Metadata": metadata}
        if body is not None:
            headers["Content-Type"] = OCTETS
        return rid, self.request("POST", "/files", headers=headers, data=body)

    def patch(self, location, offset, data, **headers):
        return self.request(
            "PATCH", location, data=data,
            headers={**TUS, "Upload-Offset": str(offset), "Content-Type": OCTETS, **headers})

    def offset(self, location):
        answer = self.request("HEAD", location, headers=TUS)
        assert answer.status_code == 200, answer.status_code
        assert answer.headers["Cache-Control"] == "no-store"
        return int(answer.headers["Upload-Offset"])

    def upload(self, data, rid=None):
        rid, answer = self.announce(data, rid)
        assert answer.status_code == 201, answer.text
        location = self.base + answer.headers["Location"]
        if data:
            answer = self.patch(location, 0, data)
            assert answer.status_code == 204, answer.text
            assert answer.headers["Upload-Offset"] == str(len(data))
        return rid, location

    def receipt(self, rid):
        return self.get(f"/ess/v1/recordings/{rid}/receipt")

    def settled_receipt(self, rid):
        deadline = time.monotonic() + 30
        while True:
            answer = self.receipt(rid)
            if answer.status_code != 202 or time.monotonic() > deadline:
                return answer
            assert int(answer.headers["Retry-After"]) > 0
            time.sleep(0.05)


    def check_receipt(self, rid, data):
        answer = self.settled_receipt(rid)
        assert answer.status_code == 200, answer.text
        receipt = answer.json()
        digest = hashlib.sha256(data)
        assert receipt["rid"] == rid
        assert receipt["sha256"] == digest.hexdigest()
        assert receipt["size"] == len(data)
        assert receipt["durability"] == "fsync"
        assert receipt["storeEpoch"] == self.get("/.well-known/ess-agent").json()["storeEpoch"]
        assert answer.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
        assert (self.directory / "recordings" / rid).read_bytes() == data
        return receipt

    def raw_patch(self, location, offset, announced, data):
        """A PATCH that says how long it is and then sends what it likes, on a connection of its own."""
        context = ssl.create_default_context(cafile=self.laptop / "ca.pem")
        context.load_cert_chain(self.laptop / "client.pem", self.laptop / "client.key")
        stream = context.wrap_socket(socket.create_connection(("127.0.0.1", self.port)), server_hostname="localhost")
        path = location.split(str(self.port))[-1]
        head = (
            f"PATCH {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nTus-Resumable: 1.0.0\r\n"
            f"Upload-Offset: {offset}\r\nContent-Type: {OCTETS}\r\nContent-Length: {announced}\r\n\r\n")
        stream.sendall(head.encode() + data)
        return stream


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with its authority and worklist, and one enrolled laptop."""
    root = tmp_path_factory.mktemp("ess")
    tool("init", "--directory", root / "server")
    tool("seed", "--directory", root / "server")
    tool("enrol", "--directory", root / "server", "--name", "laptop-1", "--output", root / "laptop")
    return root


@pytest.fixture(scope="module")
def server(place):
    server = Server(place / "server", place / "laptop", place / "log" / "server.log").start()
    yield server
    assert server.stop() == 0


@pytest.fixture
def fresh(tmp_path):
    """A server of one test's own, not started yet."""
    tool("init", "--directory", tmp_path / "server")
    tool("seed", "--directory", tmp_path / "server")
    tool("enrol", "--directory", tmp_path / "server", "--name", "laptop-1", "--output", tmp_path / "laptop")
    server = Server(tmp_path / "server", tmp_path / "laptop", tmp_path / "log" / "server.log")
    yield server
    server.stop()


def outcome(answer, status):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    assert body["issue"][0]["severity"] == "error"
    return body["issue"][0]["diagnostics"]


def observation(patient="patient-demo-1", **more):
    return {
        "resourceType": "Observation", "status": "final", "code": {"text": "SpO2"},
        "subject": {"reference": f"Patient/{patient}"}, **more,
    }


def transaction(*entries, kind="transaction"):
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(resource, method="PUT", full_url=None, **request):
    url = resource["resourceType"] + (f"/{resource['id']}" if method == "PUT" else "")
    made = {"resource": resource, "request": {"method": method, "url": url, **request}}
    if full_url:
        made["fullUrl"] = full_url
    return made


# The directory


def test_init_is_idempotent_and_private(tmp_path):
    first = tool("init", "--directory", tmp_path / "s", "--host", "ess.example")
    before = {p.name: p.read_bytes() for p in (tmp_path / "s" / "authority").iterdir()}
    second = tool("init", "--directory", tmp_path / "s")
    assert "made" in first and "kept" not in first
    assert "kept" in second and "made" not in second
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "s" / "authority").iterdir()}
    epoch = re.compile(r"epoch (\S+)")
    assert epoch.search(first)[1] == epoch.search(second)[1]
    for key in ["ca.key", "server.key"]:
        assert stat.S_IMODE((tmp_path / "s" / "authority" / key).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700


def test_enrol(tmp_path):
    tool("enrol", "--directory", tmp_path / "none", "--name", "a", "--output", tmp_path / "l", fails=True)
    tool("init", "--directory", tmp_path / "s")
    tool("enrol", "--directory", tmp_path / "s", "--name", "no/slash", "--output", tmp_path / "l", fails=True)
    tool("enrol", "--directory", tmp_path / "s", "--name", "laptop-1", "--output", tmp_path / "l")
    assert sorted(p.name for p in (tmp_path / "l").iterdir()) == ["ca.pem", "client.key", "client.pem"]
    assert stat.S_IMODE((tmp_path / "l" / "client.key").stat().st_mode) == 0o600
    before = (tmp_path / "l" / "client.pem").read_bytes()
    assert "kept" in tool("enrol", "--directory", tmp_path / "s", "--name", "laptop-1", "--output", tmp_path / "l")
    assert before == (tmp_path / "l" / "client.pem").read_bytes()


def test_two_servers_on_one_directory(server):
    said = tool("serve", "--directory", server.directory, "--port", "0", fails=True)
    assert "another" in said


def test_seed_keeps_what_the_field_wrote(fresh):
    fresh.start()
    task = fresh.get("/fhir/Task/visite-demo-1").json()
    task["status"] = "accepted"
    assert fresh.put("/fhir/Task/visite-demo-1", task).status_code == 200
    assert "0 made, 0 replaced, 16 kept" in tool("seed", "--directory", fresh.directory)
    assert fresh.get("/fhir/Task/visite-demo-1").json()["status"] == "accepted"
    tool("seed", "--directory", fresh.directory, "--replace")
    assert fresh.get("/fhir/Task/visite-demo-1").json()["status"] == "ready"


def test_seed_from_a_file(fresh, tmp_path):
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps(transaction(
        {"resource": {"resourceType": "Patient", "id": "p9", "name": [{"family": "ESSAI"}]}}, kind="collection")))
    assert "1 made" in tool("seed", "--directory", fresh.directory, "--file", bundle)
    assert "1 kept" in tool("seed", "--directory", fresh.directory, "--file", bundle)
    bundle.write_text(json.dumps(transaction(entry({**observation("nobody"), "id": "o1"}))))
    assert "Patient that is not here" in tool("seed", "--directory", fresh.directory, "--file", bundle, fails=True)
    bundle.write_text("{")
    assert "not JSON" in tool("seed", "--directory", fresh.directory, "--file", bundle, fails=True)


def test_run_does_everything(tmp_path):
    process = subprocess.Popen(
        [BINARY, "run", "--directory", tmp_path / "s", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        lines = []
        while not lines or "listening" not in lines[-1]:
            line = process.stdout.readline().decode()
            assert line
            lines.append(line)
        assert any("worklist: 16 made" in line for line in lines)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
        process.stdout.close()


# TLS


def test_nothing_without_a_certificate_of_ours(server, tmp_path):
    with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
        requests.get(server.base + "/ess/v1/ping", verify=str(server.laptop / "ca.pem"), timeout=10)
    tool("init", "--directory", tmp_path / "other")
    tool("enrol", "--directory", tmp_path / "other", "--name", "laptop-1", "--output", tmp_path / "laptop")
    with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
        requests.get(
            server.base + "/ess/v1/ping", verify=str(server.laptop / "ca.pem"), timeout=10,
            cert=(str(tmp_path / "laptop" / "client.pem"), str(tmp_path / "laptop" / "client.key")))
    # The server's own certificate is none of a client's.
    own = server.directory / "authority"
    with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
        requests.get(
            server.base + "/ess/v1/ping", verify=str(server.laptop / "ca.pem"), timeout=10,
            cert=(str(own / "server.pem"), str(own / "server.key")))


def test_tls_versions(server):
    context = ssl.create_default_context(cafile=server.laptop / "ca.pem")
    context.load_cert_chain(server.laptop / "client.pem", server.laptop / "client.key")
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
        context.minimum_version = context.maximum_version = version
        for host in ["localhost", "127.0.0.1"]:
            connection = http.client.HTTPSConnection(host, server.port, context=context, timeout=10)
            connection.request("GET", "/ess/v1/ping")
            assert connection.getresponse().status == 204
            connection.close()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.load_cert_chain(server.laptop / "client.pem", server.laptop / "client.key")
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        old.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="localhost")


# Discovery


def test_discovery(server):
    answer = server.get("/.well-known/ess-agent")
    offer = answer.json()
    assert answer.status_code == 200
    assert "1.0" in offer["contracts"]
    assert offer["fhirBase"] == server.base + "/fhir"
    assert offer["bytes"] == [
        {"kind": "tus", "url": server.base + "/files", "maxSize": 8 << 30, "chunkMax": 4 << 20}]
    assert offer["receipts"] == server.base + "/ess/v1/recordings"
    assert uuid.UUID(offer["storeEpoch"])
    again = server.get("/.well-known/ess-agent", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304 and not again.content


def test_ping_and_request_ids(server):
    mine = str(uuid.uuid4())
    answer = server.get("/ess/v1/ping", headers={"X-Request-Id": mine})
    assert answer.status_code == 204 and answer.headers["Date"] and answer.headers["X-Request-Id"] == mine
    assert server.get("/ess/v1/ping", headers={"X-Request-Id": "not a uuid"}).headers["X-Request-Id"] != "not a uuid"
    assert server.get("/ess/v1/ping", headers={"ESS-Contract": "1.3"}).status_code == 204
    assert server.get("/ess/v1/ping", headers={"ESS-Contract": "2.0"}).status_code == 426
    assert server.get("/nowhere").status_code == 404


def test_capabilities(server):
    statement = server.get("/fhir/metadata").json()
    assert statement["fhirVersion"] == "4.0.1"
    rest = statement["rest"][0]
    assert {"code": "transaction"} in rest["interaction"]
    types = {resource["type"]: resource for resource in rest["resource"]}
    # Bytes as they are: put under a name, not searched.
    assert types.pop("Binary")["updateCreate"] is True
    for resource in types.values():
        assert resource["updateCreate"] is True and resource["conditionalCreate"] is True
        # What it says can be searched by, can be.
        for parameter in resource["searchParam"]:
            value = "ge2020-01-01" if parameter["type"] == "date" else "x"
            assert server.get(f"/fhir/{resource['type']}?{parameter['name']}={value}").status_code == 200


# Worklist


def test_worklist(server):
    bundle = server.get(WORKLIST).json()
    modes = [(e["search"]["mode"], e["resource"]["resourceType"]) for e in bundle["entry"]]
    tasks = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "match"]
    assert len(tasks) >= 3
    assert ("include", "ServiceRequest") in modes and ("include", "Patient") in modes
    for task in tasks:
        assert task["owner"]["reference"] == "Organization/equipe-mobile"
        assert task["executionPeriod"]["start"] and task["location"]["display"]
        patient = next(e["resource"] for e in bundle["entry"]
                       if e["fullUrl"].endswith(task["for"]["reference"]))
        ins = patient["identifier"][0]
        assert ins["system"] == "urn:oid:1.2.250.1.213.1.4.11"
        assert 97 - int(ins["value"][:13]) % 97 == int(ins["value"][13:])
        order = next(e["resource"] for e in bundle["entry"] if e["fullUrl"].endswith(task["focus"]["reference"]))
        assert order["reasonCode"][0]["text"] and order["category"][0]["coding"][0]["code"]
        assert order["subject"] == task["for"]
    nobody = server.get(WORKLIST.replace("equipe-mobile", "equipe-2")).json()
    assert nobody["total"] == 0 and nobody["entry"] == []


def test_paging_reaches_everything_once(server):
    ids = [f"page-{n:02}" for n in range(7)]
    for name in ids:
        server.put(f"/fhir/Location/{name}", {
            "resourceType": "Location", "id": name, "identifier": [{"system": "urn:x:page", "value": "1"}]})
    url, seen, pages = "/fhir/Location?identifier=urn:x:page|1&_count=2", [], 0
    while url:
        bundle = server.get(url).json()
        assert bundle["total"] == 7
        seen += [e["resource"]["id"] for e in bundle["entry"]]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
        pages += 1
    assert seen == ids and pages == 4


def test_last_updated(server):
    stored = server.put("/fhir/Location/when", {"resourceType": "Location", "id": "when"}).json()
    time_text = stored["meta"]["lastUpdated"]

    def found(query):
        return [e["resource"]["id"] for e in server.get(f"/fhir/Location?_id=when&{query}").json()["entry"]]

    assert found(f"_lastUpdated=ge{time_text}") == ["when"]
    assert found(f"_lastUpdated=le{time_text}") == ["when"]
    assert found(f"_lastUpdated=gt{time_text}") == []
    assert found(f"_lastUpdated=lt{time_text}") == []
    assert found("_lastUpdated=ge2020-01-01T00:00:00%2B01:00&_lastUpdated=lt2100-01-01") == ["when"]
    outcome(server.get("/fhir/Location?_lastUpdated=yesterday"), 400)


@pytest.mark.parametrize("query", [
    "Task?colour=red", "Task?owner:missing=true", "Task?_include=Task:requester", "Patient?subject=x", "Task?_count=0",
    "Task?_sort=-_lastUpdated", "DocumentReference?based-on=x", "Task?_summary=count", "Task?status=", "Task?owner=%ff",
])
def test_unknown_search_is_refused(server, query):
    outcome(server.get("/fhir/" + query), 400)


def test_unknown_type(server):
    outcome(server.get("/fhir/Basic/1"), 404)
    outcome(server.get("/fhir/Basic"), 404)
    outcome(server.post("/fhir/Basic", {"resourceType": "Basic"}), 404)


# Facts


def test_create_read_update(server):
    name = str(uuid.uuid4())
    resource = {**observation(), "id": name, "valueQuantity": {"value": 97.50}}
    created = server.put(f"/fhir/Observation/{name}", resource)
    assert created.status_code == 201 and created.headers["ETag"] == 'W/"1"'
    assert created.headers["Location"] == f"{server.base}/fhir/Observation/{name}/_history/1"
    again = server.put(f"/fhir/Observation/{name}", resource)
    assert again.status_code == 200 and again.headers["ETag"] == 'W/"1"', "a retry makes no version"
    read = server.get(f"/fhir/Observation/{name}")
    assert read.headers["ETag"] == 'W/"1"' and read.json()["meta"]["versionId"] == "1"
    assert server.get(f"/fhir/Observation/{name}", headers={"If-None-Match": 'W/"1"'}).status_code == 304
    changed = {**resource, "status": "amended"}
    outcome(server.put(f"/fhir/Observation/{name}", changed, **{"If-Match": 'W/"7"'}), 412)
    answer = server.put(f"/fhir/Observation/{name}", changed, **{"If-Match": 'W/"1"'})
    assert answer.status_code == 200 and answer.headers["ETag"] == 'W/"2"'
    outcome(server.put(f"/fhir/Observation/{name}", resource, **{"If-Match": 'W/"1"'}), 412)
    assert server.get(f"/fhir/Observation/{name}").json()["status"] == "amended"
    assert server.get(f"/fhir/Observation/{name}/_history/1").json()["status"] == "final"
    outcome(server.get(f"/fhir/Observation/{name}/_history/9"), 404)
    outcome(server.put("/fhir/Observation/not-there", {**observation(), "id": "not-there"}, **{"If-Match": 'W/"1"'}), 412)
    outcome(server.get("/fhir/Observation/not-there"), 404)
    outcome(server.request("DELETE", f"/fhir/Observation/{name}"), 405)


def test_decimals_keep_their_zeros(server):
    name = str(uuid.uuid4())
    body = json.dumps({**observation(), "id": name, "valueString": "é\u2028\"\\/\n"})[:-1] + ', "valueQuantity": {"value": 1.500e2}}'
    headers = {"Content-Type": "application/fhir+json"}
    assert server.request("PUT", f"/fhir/Observation/{name}", data=body.encode(), headers=headers).status_code == 201
    read = server.get(f"/fhir/Observation/{name}")
    assert "1.500e2" in read.text and read.json()["valueString"] == "é\u2028\"\\/\n"


def test_conditional_create(server):
    value = str(uuid.uuid4())
    resource = observation(identifier=[{"system": "urn:x:obs", "value": value}])
    headers = {"If-None-Exist": f"identifier=urn:x:obs|{value}"}
    first = server.post("/fhir/Observation", resource, **headers)
    second = server.post("/fhir/Observation", resource, **headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    third = server.post("/fhir/Observation", resource)
    assert third.status_code == 201 and third.json()["id"] != first.json()["id"]
    outcome(server.post("/fhir/Observation", resource, **headers), 412)
    outcome(server.post("/fhir/Observation", resource, **{"If-None-Exist": "colour=red"}), 400)
    outcome(server.post("/fhir/Observation", resource, **{"If-None-Exist": ""}), 400)


def test_conditional_create_in_parallel_makes_one(server):
    value = str(uuid.uuid4())
    resource = observation(identifier=[{"system": "urn:x:par", "value": value}])

    def create(_):
        session = server.new_session()
        return session.post(
            server.base + "/fhir/Observation", json=resource, timeout=30,
            headers={"If-None-Exist": f"identifier=urn:x:par|{value}"}).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(create, range(8)))
    assert codes == [200] * 7 + [201]


@pytest.mark.parametrize("path, body, status", [
    ("/fhir/Observation/a", {"resourceType": "Patient", "id": "a"}, 400),
    ("/fhir/Observation/a", {**observation(), "id": "b"}, 400),
    ("/fhir/Observation/a", observation(), 400),
    ("/fhir/Observation/a_b", {**observation(), "id": "a_b"}, 400),
    ("/fhir/Observation/" + "a" * 65, {**observation(), "id": "a" * 65}, 400),
    ("/fhir/Observation/a", [], 400),
    ("/fhir/Observation/a", {**observation("nobody"), "id": "a"}, 422),
    ("/fhir/Observation/a", {**observation(), "id": "a", "partOf": [{"reference": "Task/none"}]}, 422),
    ("/fhir/Observation/a", {**observation(), "id": "a", "device": {"reference": f"urn:uuid:{uuid.uuid4()}"}}, 422),
    ("/fhir/Observation/a", {**observation(), "id": "a", "device": {"reference": "nonsense"}}, 422),
])
def test_what_is_not_accepted(server, path, body, status):
    outcome(server.put(path, body), status)
    assert server.get("/fhir/Observation/a").status_code == 404


@pytest.mark.parametrize("body", [
    b"", b"{", b'{"a":1}x', b'{"a":1,"a":2}', b"[" * 100 + b"]" * 100, b'"\xff"', b'"\\ud800"', b"01", b"1.", b"nul", b'{"a" 1}'])
def test_broken_json(server, body):
    answer = server.request(
        "PUT", "/fhir/Observation/a", data=body, headers={"Content-Type": "application/fhir+json"})
    outcome(answer, 400)


def test_other_formats(server):
    outcome(server.request(
        "PUT", "/fhir/Observation/a", data=b"<x/>", headers={"Content-Type": "application/fhir+xml"}), 415)
    outcome(server.request("GET", "/fhir/Task?_format=xml"), 406)
    big = b'{"x":"' + b"a" * (17 << 20) + b'"}'
    outcome(server.request("POST", "/fhir", data=big, headers={"Content-Type": "application/fhir+json"}), 413)


def test_filed_under_the_wrong_patient(server):
    def document(patient, **context):
        name = str(uuid.uuid4())
        return name, {
            "resourceType": "DocumentReference", "id": name, "status": "current",
            "subject": {"reference": f"Patient/{patient}"}, "content": [], "context": context,
        }

    visit = {"reference": "Task/visite-demo-1"}
    name, wrong = document("patient-demo-2", related=[visit])
    outcome(server.put(f"/fhir/DocumentReference/{name}", wrong), 409)
    assert server.get(f"/fhir/DocumentReference/{name}").status_code == 404
    name, right = document("patient-demo-1", related=[visit])
    assert server.put(f"/fhir/DocumentReference/{name}", right).status_code == 201

    # By way of the encounter, which names its visit by identifier.
    encounter = str(uuid.uuid4())

    def meeting(patient):
        return {
            "resourceType": "Encounter", "id": encounter, "status": "in-progress",
            "class": {"code": "HH"}, "subject": {"reference": f"Patient/{patient}"},
            "identifier": [{"system": "urn:ess-agent:id/visit", "value": "visite-demo-1"}],
        }

    outcome(server.put(f"/fhir/Encounter/{encounter}", meeting("patient-demo-2")), 409)
    assert server.put(f"/fhir/Encounter/{encounter}", meeting("patient-demo-1")).status_code == 201
    name, wrong = document("patient-demo-2", encounter=[{"reference": f"Encounter/{encounter}"}])
    outcome(server.put(f"/fhir/DocumentReference/{name}", wrong), 409)
    # The order's patient, and the echo of the identifier.
    name, wrong = document("patient-demo-2", related=[{"reference": "ServiceRequest/demande-visite-demo-1"}])
    outcome(server.put(f"/fhir/DocumentReference/{name}", wrong), 409)
    name, wrong = document("patient-demo-1")
    wrong["subject"]["identifier"] = {"system": "urn:oid:1.2.250.1.213.1.4.11", "value": "000000000000000"}
    outcome(server.put(f"/fhir/DocumentReference/{name}", wrong), 409)
    # All of it in one transaction leaves nothing behind.
    name, wrong = document("patient-demo-2", encounter=[{"reference": f"Encounter/{encounter}"}])
    other = {**observation(), "id": str(uuid.uuid4())}
    said = outcome(server.post("/fhir", transaction(entry(other), entry(wrong))), 409)
    assert said.startswith("entry 1:")
    assert server.get(f"/fhir/Observation/{other['id']}").status_code == 404


def test_search_by_relations(server):
    name = str(uuid.uuid4())
    resource = {
        "resourceType": "DiagnosticReport", "id": name, "status": "final", "code": {"text": "avis"},
        "subject": {"reference": "Patient/patient-demo-3"},
        "basedOn": [{"reference": "ServiceRequest/demande-visite-demo-3"}],
    }
    assert server.put(f"/fhir/DiagnosticReport/{name}", resource).status_code == 201
    for query in ["based-on=ServiceRequest/demande-visite-demo-3", "based-on=demande-visite-demo-3",
                  "patient=patient-demo-3", "subject=Patient/patient-demo-3", f"_id={name}",
                  "patient=patient-demo-3&status=final,amended&_lastUpdated=ge2020-01-01"]:
        assert server.get(f"/fhir/DiagnosticReport?{query}").json()["total"] == 1, query
    for query in ["based-on=ServiceRequest/other", "patient=patient-demo-1", "subject=Device/patient-demo-3",
                  "patient=patient-demo-3&status=registered"]:
        assert server.get(f"/fhir/DiagnosticReport?{query}").json()["total"] == 0, query


# Transactions


def test_transaction(server):
    device, obs = str(uuid.uuid4()), f"urn:uuid:{uuid.uuid4()}"
    value = str(uuid.uuid4())
    bundle = transaction(
        entry({"resourceType": "Device", "id": device}, full_url=f"{server.base}/fhir/Device/{device}"),
        entry(observation(device={"reference": f"Device/{device}"}, identifier=[{"system": "urn:x:t", "value": value}]),
              "POST", full_url=obs, ifNoneExist=f"identifier=urn:x:t|{value}"),
        entry({"resourceType": "Provenance", "id": device, "target": [{"reference": obs}]}),
    )
    for attempt, status in enumerate(["201 Created", "200 OK"]):
        answer = server.post("/fhir/" if attempt else "/fhir", bundle)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["type"] == "transaction-response"
        responses = [e["response"] for e in body["entry"]]
        assert [r["status"] for r in responses] == [status] * 3
        assert all(r["etag"] == 'W/"1"' and r["lastModified"] for r in responses)
        assert responses[0]["location"] == f"Device/{device}/_history/1"
    target = server.get(f"/fhir/Provenance/{device}").json()["target"][0]["reference"]
    assert responses[1]["location"] == target + "/_history/1"
    assert server.get(f"/fhir/{target}").json()["device"]["reference"] == f"Device/{device}"


def test_transaction_is_all_or_nothing(server):
    good = {**observation(), "id": str(uuid.uuid4())}
    for bad, status in [
        (entry({**observation("nobody"), "id": str(uuid.uuid4())}), 422),
        (entry({**observation(), "id": "x"}, ifMatch='W/"3"'), 412),
        (entry({"resourceType": "Basic", "id": "x"}), 404),
        (entry({**observation(), "id": "x y"}), 400),
        ({"request": {"method": "DELETE", "url": "Observation/x"}}, 400),
        (entry(observation(device={"reference": f"urn:uuid:{uuid.uuid4()}"}), "POST"), 422),
    ]:
        said = outcome(server.post("/fhir", transaction(entry(good), bad)), status)
        assert said.startswith("entry 1:")
        assert server.get(f"/fhir/Observation/{good['id']}").status_code == 404


def test_one_identity_twice_in_a_bundle(server):
    def obs(**more):
        return {**observation(), "id": str(uuid.uuid4()), **more}

    same = obs()
    full_url = f"urn:uuid:{uuid.uuid4()}"
    value = str(uuid.uuid4())
    token = {"identifier": [{"system": "urn:x:d", "value": value}]}
    condition = f"identifier=urn:x:d|{value}"
    for first, second in [
        (entry(same), entry({**same, "status": "amended"})),
        (entry(obs(), full_url=full_url), entry(obs(), full_url=full_url)),
        (entry(observation(**token), "POST", ifNoneExist=condition),
         entry(observation(**token), "POST", ifNoneExist=condition)),
        (entry(obs(**token)), entry(observation(**token), "POST", ifNoneExist=condition)),
        (entry(observation(**token), "POST", ifNoneExist=condition),
         entry(observation(**token), "POST", ifNoneExist=condition.replace("|", "%7C"))),
    ]:
        outcome(server.post("/fhir", transaction(first, second)), 400)
    assert server.get(f"/fhir/Observation?{condition}").json()["total"] == 0


def test_batch(server):
    good = {"resourceType": "AuditEvent", "id": str(uuid.uuid4())}
    bad = {**observation("nobody"), "id": str(uuid.uuid4())}
    answer = server.post("/fhir", transaction(entry(bad), entry(good), kind="batch"))
    assert answer.status_code == 200 and answer.json()["type"] == "batch-response"
    statuses = [e["response"]["status"][:3] for e in answer.json()["entry"]]
    assert statuses == ["422", "201"]
    assert server.get(f"/fhir/AuditEvent/{good['id']}").status_code == 200
    assert server.get(f"/fhir/Observation/{bad['id']}").status_code == 404
    outcome(server.post("/fhir", transaction(kind="history")), 400)


def test_idempotency_key(server):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    bundle = transaction(entry(observation(), "POST"))
    first, second = server.post("/fhir", bundle, **key), server.post("/fhir", bundle, **key)
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    outcome(server.post("/fhir", transaction(entry(observation(status="amended"), "POST")), **key), 422)
    # A refusal is not remembered: what was missing may have come.
    late = str(uuid.uuid4())
    key = {"Idempotency-Key": str(uuid.uuid4())}
    outcome(server.post("/fhir", transaction(entry(observation(late), "POST")), **key), 422)
    server.put(f"/fhir/Patient/{late}", {"resourceType": "Patient", "id": late})
    assert server.post("/fhir", transaction(entry(observation(late), "POST")), **key).status_code == 200


# Bytes


def test_tus_options(server):
    answer = server.request("OPTIONS", "/files")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0" and answer.headers["Tus-Max-Size"] == str(8 << 30)
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        "creation", "creation-with-upload", "checksum", "termination"}
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"


def test_upload_in_chunks(server):
    data = random.Random(1).randbytes(3_000_001)
    rid, answer = server.announce(data)
    assert answer.status_code == 201 and answer.headers["Upload-Offset"] == "0"
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    location = server.base + answer.headers["Location"]
    assert server.receipt(rid).status_code == 202
    for offset in range(0, len(data), 1_000_000):
        chunk = data[offset:offset + 1_000_000]
        digest = base64.b64encode(hashlib.sha1(chunk).digest()).decode()
        answer = server.patch(location, offset, chunk, **{"Upload-Checksum": f"sha1 {digest}"})
        assert answer.status_code == 204
        assert server.offset(location) == min(offset + 1_000_000, len(data))
    receipt = server.check_receipt(rid, data)
    # Repeating the announcement finds it again, complete.
    _, again = server.announce(data, rid)
    assert again.status_code == 200 and server.base + again.headers["Location"] == location
    assert again.headers["Upload-Offset"] == str(len(data))
    assert server.check_receipt(rid, data)["storedAt"] == receipt["storedAt"]
    # A stored recording is not taken back, and takes nothing more.
    assert server.request("DELETE", location, headers=TUS).status_code == 403
    assert server.patch(location, len(data), b"x").status_code == 413
    assert server.patch(location, len(data), b"").status_code == 204
    listed = {r["rid"]: r for r in json.loads(tool("list", "--directory", server.directory, "--json"))}
    assert listed[rid]["size"] == len(data) and listed[rid]["sha256"] == receipt["sha256"]
    assert listed[rid]["intact"] is True
    assert pathlib.Path(listed[rid]["path"]).read_bytes() == data
    assert receipt["sha256"] in tool("list", "--directory", server.directory)


def test_creation_with_upload_and_empty(server):
    data = os.urandom(70_000)
    rid, answer = server.announce(data, body=data[:50_000])
    assert answer.status_code == 201 and answer.headers["Upload-Offset"] == "50000"
    location = server.base + answer.headers["Location"]
    assert server.patch(location, 50_000, data[50_000:]).status_code == 204
    server.check_receipt(rid, data)
    rid, answer = server.announce(b"")
    assert answer.status_code == 201
    server.check_receipt(rid, b"")


def test_announcing_twice(server):
    data = os.urandom(1000)
    rid, first = server.announce(data)
    location = server.base + first.headers["Location"]
    assert server.patch(location, 0, data[:300]).status_code == 204
    _, again = server.announce(data, rid)
    assert again.status_code == 200 and again.headers["Location"] == first.headers["Location"]
    assert again.headers["Upload-Offset"] == "300"
    assert server.announce(data, rid.upper())[1].headers["Location"] == first.headers["Location"]
    assert server.announce(data, rid, sha256="0" * 64)[1].status_code == 409
    assert server.announce(data + b"x", rid, sha256=hashlib.sha256(data).hexdigest())[1].status_code == 409
    assert server.offset(location) == 300


def test_bad_announcements(server):
    data = b"abc"
    assert server.announce(data, length=(8 << 30) + 1)[1].status_code == 413
    assert server.announce(data, length=-1)[1].status_code == 400
    assert server.announce(data, rid="../../etc/passwd")[1].status_code == 400
    assert server.announce(data, sha256="12")[1].status_code == 400
    for headers in [{}, {"Upload-Length": "3"}, {"Upload-Length": "3", "Upload-Metadata": "rid ***"},
                    {"Upload-Defer-Length": "1"}, {"Upload-Length": "3", "Upload-Concat": "partial"}]:
        assert server.request("POST", "/files", headers={**TUS, **headers}).status_code == 400
    answer = server.request("POST", "/files", headers={"Upload-Length": "3"})
    assert answer.status_code == 412 and answer.headers["Tus-Version"] == "1.0.0"
    assert server.request("HEAD", "/files/none", headers=TUS).status_code == 404


def test_refused_chunks_leave_nothing(server):
    data = os.urandom(5000)
    rid, answer = server.announce(data)
    location = server.base + answer.headers["Location"]
    assert server.patch(location, 0, data[:1000]).status_code == 204
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    refused = [
        (server.patch(location, 0, data), 409),
        (server.patch(location, 2000, data[2000:]), 409),
        (server.patch(location, 1000, data[1000:], **{"Content-Type": "application/octet-stream"}), 415),
        (server.patch(location, 1000, data[1000:], **{"Upload-Checksum": f"sha256 {wrong}"}), 460),
        (server.patch(location, 1000, data[1000:], **{"Upload-Checksum": f"md5 {wrong}"}), 400),
        (server.patch(location, 1000, data[1000:], **{"Upload-Checksum": "sha1"}), 400),
        (server.patch(location, 1000, data[1000:] + b"x"), 413),
        (server.patch(location, 1000, data[1000:], **{"Upload-Offset": "one"}), 400),
        (server.patch(location, 1000, data[1000:], **{"Tus-Resumable": "0.9"}), 412),
    ]
    assert [answer.status_code for answer, _ in refused] == [status for _, status in refused]
    assert refused[0][0].headers["Upload-Offset"] == "1000"
    assert server.offset(location) == 1000
    assert (server.directory / "uploads" / location.rsplit("/", 1)[1]).stat().st_size == 1000
    # Without a Content-Length the server has to count for itself.
    answer = server.patch(location, 1000, (piece for piece in [data[1000:], b"too much"]))
    assert answer.status_code == 413
    assert server.offset(location) <= 5000
    if server.offset(location) < 5000:
        assert server.patch(location, server.offset(location), data[server.offset(location):]).status_code == 204
    server.check_receipt(rid, data)


def test_wrong_bytes_get_no_receipt(server):
    data = os.urandom(2000)
    rid, answer = server.announce(data)
    location = server.base + answer.headers["Location"]
    spoiled = bytes([data[0] ^ 1]) + data[1:]
    assert server.patch(location, 0, spoiled).status_code == 204
    answer = server.settled_receipt(rid)
    assert answer.status_code == 409 and answer.json()["sha256"] == hashlib.sha256(spoiled).hexdigest()
    assert not (server.directory / "recordings" / rid).exists()
    # One way out: delete and send again.
    assert server.request("DELETE", location, headers=TUS).status_code == 204
    assert server.request("HEAD", location, headers=TUS).status_code == 404
    assert server.receipt(rid).status_code == 404
    server.check_receipt(server.upload(spoiled[:-1] + b"z", rid)[0], spoiled[:-1] + b"z")


def test_announcing_again_after_wrong_bytes_starts_anew(server):
    data = os.urandom(2000)
    rid, answer = server.announce(data)
    first = server.base + answer.headers["Location"]
    server.patch(first, 0, b"\0" * 2000)
    assert server.settled_receipt(rid).status_code == 409
    server.upload(data, rid)
    server.check_receipt(rid, data)
    assert server.request("HEAD", first, headers=TUS).status_code == 404


def test_announcing_in_parallel_makes_one_upload(server):
    data, rid = os.urandom(500), str(uuid.uuid4())

    def announce(_):
        other = Server(server.directory, server.laptop, server.log)
        other.port, other.base, other.session = server.port, server.base, server.new_session()
        return other.announce(data, rid)[1]

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(announce, range(6)))
    assert sorted({a.status_code for a in answers}) in ([200, 201], [201, 423], [200, 201, 423])
    assert [a.status_code for a in answers].count(201) == 1
    assert len({a.headers["Location"] for a in answers if a.status_code != 423}) == 1


def test_termination(server):
    data = os.urandom(2000)
    rid, answer = server.announce(data)
    location = server.base + answer.headers["Location"]
    server.patch(location, 0, data[:10])
    assert server.request("DELETE", location, headers=TUS).status_code == 204
    assert server.receipt(rid).status_code == 404
    assert server.patch(location, 10, data[10:]).status_code == 404
    assert not (server.directory / "uploads" / location.rsplit("/", 1)[1]).exists()


def test_receipts_of_nothing(server):
    assert server.receipt(uuid.uuid4()).status_code == 404
    assert server.receipt("nonsense").status_code == 400


def eventually(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_writer_and_a_cut_line(server):
    data = random.Random(2).randbytes(1_500_000)
    rid, answer = server.announce(data)
    location = server.base + answer.headers["Location"]
    stream = server.raw_patch(location, 0, len(data), data[:1_300_000])
    file = server.directory / "uploads" / location.rsplit("/", 1)[1]
    eventually(lambda: file.stat().st_size == 1_300_000)
    assert server.patch(location, 0, data).status_code == 423
    assert server.request("DELETE", location, headers=TUS).status_code == 423
    stream.close()
    eventually(lambda: server.offset(location) == 1_300_000)
    assert server.patch(location, 1_300_000, data[1_300_000:]).status_code == 204
    server.check_receipt(rid, data)


def test_a_cut_chunk_with_a_checksum_counts_for_nothing(server):
    data = os.urandom(100_000)
    rid, answer = server.announce(data)
    location = server.base + answer.headers["Location"]
    digest = base64.b64encode(hashlib.sha1(data).digest()).decode()
    stream = server.raw_patch(
        location, 0, f"{len(data)}\r\nUpload-Checksum: sha1 {digest}", data[:50_000])
    file = server.directory / "uploads" / location.rsplit("/", 1)[1]
    eventually(lambda: file.stat().st_size == 50_000)
    stream.close()
    eventually(lambda: file.stat().st_size == 0)
    assert server.offset(location) == 0
    assert server.patch(location, 0, data).status_code == 204
    server.check_receipt(rid, data)


def test_a_silent_writer_is_given_up(server):
    data = os.urandom(1000)
    rid, answer = server.announce(data)
    location = server.base + answer.headers["Location"]
    stream = server.raw_patch(location, 0, len(data), data[:100])
    deadline = time.monotonic() + 30
    while True:
        offset = server.offset(location)
        answer = server.patch(location, offset, data[offset:])
        if answer.status_code == 204:
            break
        assert answer.status_code in (423, 409) and time.monotonic() < deadline
        time.sleep(0.5)
    stream.close()
    server.check_receipt(rid, data)


def test_a_damaged_recording_has_no_receipt(server):
    data = os.urandom(3000)
    rid, location = server.upload(data)
    server.check_receipt(rid, data)
    path = server.directory / "recordings" / rid
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    answer = server.receipt(rid)
    assert answer.status_code == 409 and answer.json()["sha256"] != hashlib.sha256(data).hexdigest()
    listed = {r["rid"]: r for r in json.loads(tool("list", "--directory", server.directory, "--json"))}
    assert listed[rid]["intact"] is False
    server.upload(data, rid)
    server.check_receipt(rid, data)
    path.unlink()
    assert server.receipt(rid).status_code == 404
    server.upload(data, rid)
    server.check_receipt(rid, data)


# Kill -9


def test_kill_in_the_middle_of_patches(fresh):
    randomness = random.Random(3)
    data = randomness.randbytes(24 << 20)
    fresh.start()
    rid, answer = fresh.announce(data)
    path = answer.headers["Location"]
    acknowledged = 0
    for _ in range(4):
        location = fresh.base + path
        offset = fresh.offset(location)
        assert offset >= acknowledged
        acknowledged = offset
        cut = randomness.randint(1, 6 << 20)
        try:
            stream = fresh.raw_patch(location, offset, len(data) - offset, data[offset:offset + cut])
            time.sleep(randomness.random() * 0.2)
        finally:
            fresh.kill()
            stream.close()
        assert not (fresh.directory / "recordings" / rid).exists()
        # What is on the disk is at least what was acknowledged, and the next start cuts the rest.
        fresh.start()
        location = fresh.base + path
        offset = fresh.offset(location)
        assert offset >= acknowledged
        assert (fresh.directory / "uploads" / path.rsplit("/", 1)[1]).stat().st_size == offset
        assert fresh.receipt(rid).status_code == 202
        answer = fresh.patch(location, offset, data[offset:offset + 100_000])
        assert answer.status_code == 204
        acknowledged = offset + 100_000
    offset = fresh.offset(location)
    assert fresh.patch(location, offset, data[offset:]).status_code == 204
    fresh.check_receipt(rid, data)


def test_kill_after_the_last_byte(fresh):
    """Between the last PATCH and the receipt there are a hash, a rename and a commit; every cut leads to one truth."""
    randomness = random.Random(4)
    data = randomness.randbytes(8 << 20)
    fresh.start()
    for round in range(6):
        rid, answer = fresh.announce(data)
        location = fresh.base + answer.headers["Location"]
        assert fresh.patch(location, 0, data).status_code == 204
        time.sleep(round * 0.006)
        fresh.kill()
        fresh.start()
        answer = fresh.receipt(rid)
        assert answer.status_code == 200, "the next start completes it before it listens"
        fresh.check_receipt(rid, data)


def test_repair_of_a_rename_without_its_row(fresh):
    """The state between rename and commit, made by hand."""
    import sqlite3
    data = os.urandom(10_000)
    fresh.start()
    rid, _ = fresh.upload(data)
    fresh.check_receipt(rid, data)
    spoiled, _ = fresh.upload(data)
    fresh.check_receipt(spoiled, data)
    fresh.stop()
    database = sqlite3.connect(fresh.directory / "ess.db")
    database.execute("UPDATE upload SET state = 'checking'")
    database.execute("DELETE FROM recording")
    database.commit()
    database.close()
    (fresh.directory / "recordings" / spoiled).write_bytes(b"something else")
    (fresh.directory / "uploads" / "stray").write_bytes(b"x")
    fresh.start()
    fresh.check_receipt(rid, data)
    assert fresh.receipt(spoiled).status_code == 409
    assert not (fresh.directory / "uploads" / "stray").exists()


def test_what_survives_a_kill(fresh):
    fresh.start()
    name = str(uuid.uuid4())
    key = {"Idempotency-Key": str(uuid.uuid4())}
    bundle = transaction(entry({**observation(), "id": name}), entry(observation(), "POST"))
    first = fresh.post("/fhir", bundle, **key).json()
    epoch = fresh.get("/.well-known/ess-agent").json()["storeEpoch"]
    fresh.kill()
    fresh.start()
    assert fresh.get(f"/fhir/Observation/{name}").status_code == 200
    assert fresh.post("/fhir", bundle, **key).json() == first
    assert fresh.get("/.well-known/ess-agent").json()["storeEpoch"] == epoch


def test_memory_does_not_grow_with_the_recording(fresh):
    fresh.start()
    size = 200 << 20
    block = random.Random(5).randbytes(1 << 20)
    digest = hashlib.sha256()
    for _ in range(size >> 20):
        digest.update(block)
    rid, answer = fresh.announce(b"", sha256=digest.hexdigest(), length=size)
    location = fresh.base + answer.headers["Location"]
    before = peak(fresh.process.pid)
    answer = fresh.request(
        "PATCH", location, data=(block for _ in range(size >> 20)), timeout=300,
        headers={**TUS, "Upload-Offset": "0", "Content-Type": OCTETS})
    assert answer.status_code == 204
    receipt = fresh.settled_receipt(rid)
    assert receipt.status_code == 200 and receipt.json()["size"] == size
    assert peak(fresh.process.pid) - before < 64 << 20


def peak(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


# Going down, and what is said


def test_terminates_cleanly_with_a_stalled_client(fresh):
    fresh.start()
    data = os.urandom(1000)
    _, answer = fresh.announce(data)
    stream = fresh.raw_patch(fresh.base + answer.headers["Location"], 0, 1000, data[:10])
    time.sleep(0.2)
    assert fresh.stop() == 0
    stream.close()


def test_the_log_names_nobody(fresh):
    fresh.start()
    fresh.get(WORKLIST)
    fresh.get("/fhir/Patient/patient-demo-1")
    fresh.get("/fhir/Observation?patient=patient-demo-1")
    rid, _ = fresh.upload(b"bytes", str(uuid.uuid4()))
    fresh.check_receipt(rid, b"bytes")
    fresh.put("/fhir/Observation/x", {**observation("SECRET"), "id": "x"})
    fresh.stop()
    log = fresh.log.read_text()
    assert "/fhir/{type}/{id}" in log and "method=GET" in log and "status=200" in log
    for word in ["patient-demo", "equipe-mobile", "LEFÈVRE", "SECRET", rid, "ecg.dcm", "?"]:
        assert word not in log, word


# Faults


def test_fault_status(fresh):
    fresh.start("--fault", "status=503:3")
    codes = [fresh.get("/ess/v1/ping").status_code for _ in range(4)]
    assert codes == [503, 503, 503, 204]
    assert "FAULTS ARE ON" in fresh.log.read_text()


def test_fault_lie_in_receipt(fresh):
    fresh.start("--fault", "lie-in-receipt")
    rid, _ = fresh.upload(b"true")
    answer = fresh.settled_receipt(rid)
    assert answer.status_code == 200
    assert answer.json()["sha256"] != hashlib.sha256(b"true").hexdigest() and len(answer.json()["sha256"]) == 64


def test_fault_lose_answer(fresh):
    fresh.start("--fault", "lose-answer=every:2")
    first, second = [{**observation(), "id": str(uuid.uuid4())} for _ in range(2)]
    assert fresh.put(f"/fhir/Observation/{first['id']}", first).status_code == 201
    with pytest.raises(requests.exceptions.ConnectionError):
        fresh.put(f"/fhir/Observation/{second['id']}", second)
    assert fresh.get(f"/fhir/Observation/{second['id']}").status_code == 200


def test_fault_drop_after_bytes(fresh):
    fresh.start("--fault", "drop-after-bytes=400000")
    data = random.Random(6).randbytes(1_000_000)
    rid, answer = fresh.announce(data)
    location = fresh.base + answer.headers["Location"]
    cuts = 0
    while (offset := fresh.offset(location)) < len(data):
        try:
            assert fresh.patch(location, offset, data[offset:]).status_code in (204, 423)
        except requests.exceptions.ConnectionError:
            cuts += 1
            # The server keeps what came before the cut, then lets go.
            eventually(lambda: fresh.offset(location) > offset)
        assert fresh.offset(location) >= offset and cuts < 10
    assert cuts == 2
    fresh.check_receipt(rid, data)


def test_unknown_faults_are_refused(place, tmp_path):
    for fault in ["gremlins", "status=200:1", "status=503", "lose-answer=5", "drop-after-bytes=0", "lie-in-receipt=1"]:
        tool("serve", "--directory", tmp_path, "--fault", fault, fails=True)
