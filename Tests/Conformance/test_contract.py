"""The contract of docs/openapi.yaml, from a region's point of view: run against your own server (conftest.py says how). Documents
that are written are random bytes under random ids, for a visit that doesn't exist; no patient is touched."""

import base64
import hashlib
import os
import pathlib
import re
import time
import uuid

import pytest
import yaml

CONTRACT = yaml.safe_load((pathlib.Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml").read_text())
TUS = {"Tus-Resumable": "1.0.0"}


def resolved(node):
    while isinstance(node, dict) and "$ref" in node:
        target = CONTRACT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def matches(value, schema, where="$"):
    """The part of JSON Schema that the contract uses."""
    schema = resolved(schema)
    kinds = {"object": dict, "array": list, "string": str, "integer": int}
    if "type" in schema:
        assert isinstance(value, kinds[schema["type"]]), f"{where} is no {schema['type']}"
    for name in schema.get("required", []):
        assert name in value, f"{where} has no {name}"
    for name, part in schema.get("properties", {}).items():
        if name in value:
            matches(value[name], part, f"{where}.{name}")
    if "items" in schema:
        for index, item in enumerate(value):
            matches(item, schema["items"], f"{where}[{index}]")
    if "pattern" in schema:
        assert re.search(schema["pattern"], value), f"{where} doesn't match {schema['pattern']}"
    if "enum" in schema:
        assert value in schema["enum"], where


def holds(response, path, method):
    """The answer is one that the contract knows, in the shape that it names."""
    answers = CONTRACT["paths"][path][method]["responses"]
    assert str(response.status_code) in answers, f"{response.status_code} to {method} {path}: {response.text[:200]}"
    answer = resolved(answers[str(response.status_code)])
    for name in answer.get("headers", {}):
        assert name in response.headers, f"{method} {path}: no {name}"
    for kind, content in answer.get("content", {}).items():
        if kind.endswith("json"):
            matches(response.json(), content["schema"])
    return response


@pytest.fixture
def offer(server):
    return holds(server.get(server.url("/.well-known/ess-agent")), "/.well-known/ess-agent", "get").json()


class Upload:
    def __init__(self, server, offer, content, rid=None, announced=None):
        [tus] = [b for b in offer["bytes"] if b["kind"] == "tus"]
        self.server, self.content, self.rid = server, content, rid or str(uuid.uuid4())
        pairs = {"filename": f"{self.rid}.bin", "filetype": "application/octet-stream", "rid": self.rid,
                 "sha256": announced or hashlib.sha256(content).hexdigest(), "visit": "conformance"}
        metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())
        self.created = holds(server.post(
            server.url(tus["url"]), headers={**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": metadata}),
            "/files", "post")
        if self.created.ok:
            where = self.created.headers["Location"]
            self.location = where if where.startswith("https:") else server.url(where)

    def append(self, offset, content, **headers):
        return holds(self.server.patch(self.location, data=content, headers={
            **TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream", **headers}),
            "/files/{id}", "patch")

    def offset(self):
        answer = holds(self.server.head(self.location, headers=TUS), "/files/{id}", "head")
        return int(answer.headers["Upload-Offset"]) if answer.ok else None


def receipt(server, offer, rid, seconds=60):
    base = offer.get("receipts", "/ess/v1/recordings")
    end = time.monotonic() + seconds
    while True:
        answer = holds(server.get(server.url(f"{base}/{rid}/receipt")), "/ess/v1/recordings/{rid}/receipt", "get")
        if answer.status_code != 202 or time.monotonic() > end:
            return answer
        time.sleep(0.2)


def test_discovery(server, offer):
    answer = server.get(server.url("/.well-known/ess-agent"))
    again = server.get(server.url("/.well-known/ess-agent"), headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert any(contract.startswith("1.") for contract in offer["contracts"])


def test_ping(server):
    holds(server.get(server.url("/ess/v1/ping")), "/ess/v1/ping", "get")


def test_capabilities(server, offer):
    answer = holds(server.get(server.url(offer["fhirBase"] + "/metadata")), "/fhir/metadata", "get").json()
    assert answer["fhirVersion"].startswith("4.0")
    [rest] = [r for r in answer["rest"] if r["mode"] == "server"]
    assert "transaction" in [i["code"] for i in rest["interaction"]]
    creates = {r["type"] for r in rest["resource"] if r.get("updateCreate")}
    assert {"Device", "Encounter", "Observation", "DocumentReference", "Provenance"} <= creates


def test_worklist(server, offer):
    answer = holds(server.get(server.url(
        offer["fhirBase"] + "/Task?owner=Organization/conformance-nobody&status=requested,ready"
        "&_include=Task:focus&_include=Task:patient&_count=50")), "/fhir/Task", "get").json()
    assert answer["type"] == "searchset" and not answer.get("entry")


def test_a_document_in_pieces(server, offer):
    content = os.urandom(300_000)
    upload = Upload(server, offer, content)
    assert receipt(server, offer, upload.rid, seconds=0).status_code in (202, 404)
    assert upload.append(0, content[:100_000]).headers["Upload-Offset"] == "100000"
    assert upload.append(0, content[:100_000]).status_code == 409, "a wrong offset is refused"
    assert upload.offset() == 100_000
    checksum = "sha1 " + base64.b64encode(hashlib.sha1(content[100_000:]).digest()).decode()
    upload.append(100_000, content[100_000:], **{"Upload-Checksum": checksum})
    answer = receipt(server, offer, upload.rid)
    assert answer.status_code == 200
    assert (answer.json()["sha256"], answer.json()["size"]) == (hashlib.sha256(content).hexdigest(), len(content))


def test_a_damaged_chunk_is_not_kept(server, offer):
    content = os.urandom(50_000)
    upload = Upload(server, offer, content)
    wrong = "sha1 " + base64.b64encode(hashlib.sha1(b"other").digest()).decode()
    answer = upload.append(0, content, **{"Upload-Checksum": wrong})
    if answer.status_code == 204:
        pytest.skip("this server offers no checksums")
    assert answer.status_code == 460 and upload.offset() == 0


def test_other_bytes_than_were_announced_get_no_receipt(server, offer):
    content = os.urandom(20_000)
    upload = Upload(server, offer, content, announced=hashlib.sha256(b"other").hexdigest())
    upload.append(0, content)
    answer = receipt(server, offer, upload.rid)
    assert answer.status_code == 409 and answer.json()["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_same_announcement_twice_is_one_document(server, offer):
    content = os.urandom(10_000)
    first = Upload(server, offer, content)
    again = Upload(server, offer, content, rid=first.rid)
    assert again.created.status_code in (200, 201)
    again.append(again.offset() or 0, content)
    assert receipt(server, offer, first.rid).status_code == 200
    other = Upload(server, offer, os.urandom(10_000), rid=first.rid)
    assert other.created.status_code == 409, "one identity, one content"


def test_a_transaction_is_whole_or_not_at_all(server, offer):
    good, bad = str(uuid.uuid4()), str(uuid.uuid4())
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": f"urn:uuid:{good}", "resource": {"resourceType": "Device", "id": good, "status": "active"},
         "request": {"method": "PUT", "url": f"Device/{good}"}},
        {"fullUrl": f"urn:uuid:{bad}", "resource": {"resourceType": "Device", "id": bad, "status": "active"},
         "request": {"method": "PUT", "url": "Patient/none-such"}}]}
    headers = {"Content-Type": "application/fhir+json", "Idempotency-Key": str(uuid.uuid4())}
    answer = holds(server.post(server.url(offer["fhirBase"]), json=bundle, headers=headers), "/fhir", "post")
    assert answer.status_code >= 400 and answer.json()["resourceType"] == "OperationOutcome"
    assert server.get(server.url(f"{offer['fhirBase']}/Device/{good}")).status_code == 404
    bundle["entry"].pop()
    for status in ("201", "20"):
        headers["Idempotency-Key"] = str(uuid.uuid4())
        answer = holds(server.post(server.url(offer["fhirBase"]), json=bundle, headers=headers), "/fhir", "post").json()
        assert answer["type"] == "transaction-response" and answer["entry"][0]["response"]["status"].startswith(status)


def test_a_stale_state_is_refused(server, offer):
    id = str(uuid.uuid4())
    url = server.url(f"{offer['fhirBase']}/Device/{id}")
    headers = {"Content-Type": "application/fhir+json"}
    device = {"resourceType": "Device", "id": id, "status": "active"}
    first = server.put(url, json=device, headers=headers)
    assert first.status_code == 201
    etag = first.headers["ETag"]
    assert server.put(url, json={**device, "status": "inactive"}, headers={**headers, "If-Match": etag}).status_code == 200
    assert server.put(url, json=device, headers={**headers, "If-Match": etag}).status_code == 412


def test_an_agent_of_another_contract_is_told(server):
    answer = server.get(server.url("/.well-known/ess-agent"), headers={"ESS-Contract": "2.0"})
    assert answer.status_code in (200, 426)
