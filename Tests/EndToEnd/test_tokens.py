"""Who we are: OAuth 2.0 tokens bound to the client certificate (RFC 8705), and private_key_jwt where there is none."""

import subprocess
import threading

import pytest
import requests
from bench import eventually
from hostile import Hostile
from test_profiles import all_received, record

TOKEN = ("--authentication", "token")


def ready(bench, *faults, options, **settings):
    bench.make_server()
    bench.start_server(*faults, options=options)
    bench.configure(**settings)
    bench.start_agent()
    bench.wait_for_visits()


def test_everything_arrives_with_tokens_that_end(bench):
    """Each token lives two seconds, and some are worth nothing after one use: nobody notices."""
    ready(bench, "short-tokens=3", options=(*TOKEN, "--token-seconds", "2"), authentication="token")
    record(bench, numbers=("1", "2"))
    found = eventually("received", lambda: all_received(bench))
    assert {d["id"]: (d["size"], d["sha256"]) for d in found} == bench.server_files()
    assert "Bearer" not in bench.agent.text()


def test_a_token_is_of_no_use_to_another_certificate(bench):
    ready(bench, options=TOKEN, authentication="token")
    other = bench.directory / "other"
    bench._run([bench.server_binary, "enrol", "--directory", bench.server_directory, "--name", "thief", "--output", other])

    def session(place):
        s = requests.Session()
        s.trust_env = False  # else REQUESTS_CA_BUNDLE of whoever runs it wins
        s.verify, s.cert = str(bench.laptop / "ca.pem"), (str(place / "client.pem"), str(place / "client.key"))
        return s

    base = f"https://localhost:{bench.port}"
    mine, thief = session(bench.laptop), session(other)
    grant = mine.post(f"{base}/token", data={"grant_type": "client_credentials", "client_id": "laptop-1"}, timeout=10).json()
    header = {"Authorization": f"Bearer {grant['access_token']}"}
    assert mine.get(f"{base}/ess/v1/ping", headers=header, timeout=10).status_code == 204
    assert thief.get(f"{base}/ess/v1/ping", headers=header, timeout=10).status_code == 401
    assert mine.get(f"{base}/ess/v1/ping", timeout=10).status_code == 401


def test_without_a_token_nothing_is_served(bench):
    bench.make_server()
    bench.start_server(options=TOKEN)
    bench.configure()
    bench.start_agent()
    eventually("told", lambda: bench.cli("status", "--json")["sync"].get("problem") == "unauthorised")
    assert bench.visits() == []


def test_a_token_endpoint_that_is_away_pauses_and_comes_back(bench):
    ready(bench, "status=503:3:token", options=TOKEN, authentication="token")


@pytest.mark.parametrize("kind", [
    ("EC", "ec_paramgen_curve:P-384"), ("EC", "ec_paramgen_curve:P-256"), ("RSA", "rsa_keygen_bits:2048")], ids=lambda k: k[1][-5:])
def test_a_signed_assertion_where_a_proxy_breaks_mtls(bench, kind):
    """ES384, ES256, RS384: what an authorisation server asks for (SMART Backend Services) is chosen by the key."""
    key, public = bench.laptop / "signing.key", bench.directory / "signing.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", kind[0], "-pkeyopt", kind[1], "-out", key],
                   check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    ready(bench, options=("--authentication", "private-key-jwt", "--client-key", public), authentication="private-key-jwt",
          signing_key=key, client_certificate=None, client_key=None)
    record(bench)
    found = eventually("received", lambda: all_received(bench))
    assert {d["id"]: (d["size"], d["sha256"]) for d in found} == bench.server_files()


def test_a_wrong_key_gets_nothing(bench):
    key, public = bench.laptop / "signing.key", bench.directory / "signing.pem"
    for name in (bench.directory / "other.key", key):
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", name],
                       check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", bench.directory / "other.key", "-pubout", "-out", public], check=True)
    bench.make_server()
    bench.start_server(options=("--authentication", "private-key-jwt", "--client-key", public))
    bench.configure(authentication="private-key-jwt", signing_key=key, client_certificate=None, client_key=None)
    bench.start_agent()
    eventually("told", lambda: bench.cli("status", "--json")["sync"].get("problem") == "unauthorised")


@pytest.mark.parametrize("status", [404, 410, 403, 409, 307])
def test_what_the_token_endpoint_says_is_never_about_a_document(bench, status):
    """A realm that is being moved, in the middle of an upload: the laptop waits, and sets nothing aside."""
    bench.make_server()
    bench.start_server(options=(*TOKEN, "--token-seconds", "3"))
    away = threading.Event()
    refused = []

    def act(x):
        if x.path == "/token" and away.is_set():
            refused.append(x.path)
            _ = x.body
            x.answer(status, {"Content-Type": "text/plain", "Location": "/realms/new/token"}, b"realm not found")
            return True
        if x.method == "POST" and x.path.startswith("/files") and not refused:
            away.set()
        if away.is_set() and x.headers.get("authorization"):
            _ = x.body
            x.answer(401)
            return True
        return False

    proxy = Hostile(bench, lambda x: False)
    bench.configure(server=f"https://localhost:{proxy.port}", authentication="token", refusal_window="2")
    bench.start_agent()
    bench.wait_for_visits()
    proxy.act = act
    record(bench)
    eventually("told", lambda: bench.cli("status", "--json")["sync"].get("problem") == "unauthorised")
    seen = len(refused)
    eventually("asked again, longer than a refusal needs to count", lambda: len(refused) >= seen + 8)
    assert "quarantined" not in [d["state"] for r in bench.recordings() for d in r["documents"]]
    proxy.act = lambda x: False
    bench.cli("sync")
    found = eventually("received", lambda: all_received(bench))
    assert {d["id"]: (d["size"], d["sha256"]) for d in found} == bench.server_files()
