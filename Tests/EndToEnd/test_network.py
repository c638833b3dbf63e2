"""When the network returns, changes, costs or is slow: real namespaces, a real cable, and what the agent lets through."""

import json
import shutil
import subprocess
import time

import pytest
from bench import LONG, eventually
from links import Link, NetworkManager, available
from test_profiles import all_received, documents, record

# The first visit of the day is urgent: what is urgent goes over any connection.
ROUTINE = 1

reason = available()
namespaces = pytest.mark.skipif(reason is not None, reason=reason or "")


def far_away(bench, link, **settings):
    """The server at the other end of the cable, the laptop at this one."""
    bench._run([bench.server_binary, "init", "--directory", bench.server_directory, "--host", link.server])
    bench.make_server()
    bench.start_server(options=("--address", link.server), wrapper=link.server_side)
    bench.configure(server=f"https://{link.server}:{bench.port}", **settings)
    bench.start_agent(wrapper=link.client_side)
    bench.wait_for_visits()


def requests_seen(bench):
    return bench.server.text().count("route=")


@namespaces
def test_it_goes_at_once_when_the_cable_is_back(bench):
    """No timer helps here: the pauses are minutes long. From the cable to the first request at most 5 s."""
    with Link() as link:
        far_away(bench, link, retry_min="120", retry_max="300", worklist_interval="3600")
        link.down()
        record(bench)
        bench.cli("sync")
        eventually("it knows that it is offline", lambda: bench.cli("status", "--json")["sync"]["state"] == "offline")
        seen = requests_seen(bench)
        link.up()
        start = time.monotonic()
        eventually("the first request", lambda: requests_seen(bench) > seen, seconds=20)
        assert time.monotonic() - start <= 5
        found = eventually("received", lambda: all_received(bench))
        assert {d["id"]: (d["size"], d["sha256"]) for d in found} == bench.server_files()


@namespaces
def test_an_upload_goes_on_over_another_address(bench):
    """Wi-Fi gone, 4G there: the old connection is dead and doesn't know it. It isn't waited for: the next document goes at once.
    The one that was being sent is still locked by the server for that connection (423), and goes on when the server lets go of it
    (ess-server: ten seconds after the last byte), not half a minute later."""
    with Link("2mbit") as link:
        far_away(bench, link, worklist_interval="3600")
        bench.cli("visit", "open", bench.visits()[0]["id"])
        bench.cli("import", bench.make_card("--seconds", "120"))
        bench.cli("visit", "close")
        eventually("it is being sent", lambda: bench.cli("status", "--json")["sync"].get("sentBytes", 0) > 0)
        seen = requests_seen(bench)
        link.down()
        link.up("10.77.0.9")
        start = time.monotonic()
        eventually("the next request", lambda: requests_seen(bench) > seen, seconds=20)
        # Far shorter than the 25 s after which a silent connection is given up.
        assert time.monotonic() - start < 10
        found = eventually("received", lambda: all_received(bench), seconds=45)
        assert {d["id"]: (d["size"], d["sha256"]) for d in found} == bench.server_files()


def has_samples(bench):
    """What was stopped before its first sample makes no document that could wait."""
    eventually("samples", lambda: any(
        recording["samples"] > 0 for device in bench.cli("devices", "--json") if device.get("session")
        for recording in device["session"]["recordings"]))


def waits_for_a_better_one(bench, **settings):
    """An ECG and an oximetry, and the server comes up."""
    bench.make_server()
    bench.start_server()
    bench.name_port()
    bench.configure(**settings)
    bench.start_agent()
    bench.wait_for_visits()
    bench.plug_oximeter()
    device = bench.wait_for_device()
    bench.server.kill()
    bench.cli("visit", "open", bench.visits()[ROUTINE]["id"])
    bench.cli("import", bench.make_card("--number", "1"))
    bench.cli("start", device["name"])
    has_samples(bench)
    bench.cli("stop", device["name"])
    bench.cli("visit", "close")
    eventually("frozen", lambda: len(bench.recordings()) == 2 and all(r["documents"] for r in bench.recordings()))
    bench.start_server()


def by_modality(bench):
    return {r["modality"]: {d["state"] for d in r["documents"]} for r in bench.recordings()}


def test_over_a_metered_connection_facts_and_ecg_only(bench):
    waits_for_a_better_one(bench, metered="yes")
    eventually("the ECG is there", lambda: by_modality(bench)["ecg"] == {"received"})
    view = eventually("told", lambda: (v := bench.cli("status", "--json")["sync"]).get("problem") == "held-metered" and v)
    assert not view["isSettled"] and "mobile" in view["sentence"]
    assert by_modality(bench)["oximetry"] == {"waiting"}
    told = {e["resource"]["id"] for e in bench.fhir("DocumentReference?_count=50")["entry"]}
    assert told == {d["id"] for d in documents(bench)}, "the facts are all there"
    bench.agent.stop()
    bench.configure(metered="no")
    bench.start_agent()
    eventually("the rest", lambda: all_received(bench))


def test_a_day_s_budget_over_a_metered_connection(bench):
    bench.make_server()
    bench.start_server()
    bench.configure()
    bench.start_agent()
    bench.wait_for_visits()
    bench.server.kill()
    record(bench, visit=ROUTINE, numbers=("1", "2", "3"))
    budget = max(d["size"] for d in documents(bench)) * 5 // 2
    bench.agent.stop()
    bench.configure(metered="yes", metered_daily_bytes=budget)
    bench.start_server()
    bench.start_agent()
    eventually("told", lambda: bench.cli("status", "--json")["sync"].get("problem") == "held-metered")
    arrived = sum(size for size, _ in bench.server_files().values())
    assert 0 < arrived <= budget
    # A restart is no new day.
    bench.agent.kill()
    bench.start_agent()
    eventually("told again", lambda: bench.cli("status", "--json")["sync"].get("problem") == "held-metered")
    assert sum(size for size, _ in bench.server_files().values()) <= budget


def test_the_nurse_keeps_her_share_of_the_line(bench):
    bench.make_server()
    bench.start_server()
    bench.configure(upload_rate="100k")
    bench.start_agent()
    bench.wait_for_visits()
    bench.server.kill()
    record(bench, numbers=("1", "2"))
    size = sum(d["size"] for d in documents(bench))
    bench.start_server()
    start = time.monotonic()
    bench.cli("sync")
    eventually("received", lambda: all_received(bench), seconds=120)
    # What fits into the socket's buffer goes at once: the first of each document.
    assert time.monotonic() - start >= 0.4 * size / 100_000


def test_watching(bench):
    """`sync --watch --json`: a line a second, from waiting to received, whose figures add up."""
    bench.make_server()
    bench.start_server()
    bench.configure(upload_rate="60k")
    bench.start_agent()
    bench.wait_for_visits()
    bench.server.kill()
    record(bench)
    watch = subprocess.Popen(
        [bench.agent_binary, "sync", "--watch", "--json", "--config", bench.config], stdout=subprocess.PIPE, text=True)
    try:
        first = json.loads(watch.stdout.readline())
        assert first["remainingBytes"] == sum(d["size"] for d in documents(bench))
        assert {i["state"] for i in first["items"]} == {"waiting"}
        bench.start_server()
        bench.cli("sync")
        states, last = set(), first
        while last["remainingBytes"]:
            last = json.loads(watch.stdout.readline())
            states |= {i["state"] for i in last["items"]}
            for item in last["items"]:
                assert 0 <= item["confirmedBytes"] <= item["size"]
        assert "sending" in states
        eventually("received", lambda: all_received(bench))
        while {i["state"] for i in last["items"]} != {"received"}:
            last = json.loads(watch.stdout.readline())
        assert all(i["receivedAt"] for i in last["items"])
    finally:
        watch.kill()
        watch.wait()


@namespaces
@pytest.mark.skipif(not LONG, reason="a NetworkManager of its own: make test-long")
@pytest.mark.skipif(not shutil.which("NetworkManager", path="/usr/sbin:/usr/bin"), reason="NetworkManager isn't installed")
def test_what_network_manager_says_counts(bench):
    """Metered, and then not any more, without any timer to help."""
    with Link() as link:
        link.down()
        manager = NetworkManager(bench, link)
        bench._run([bench.server_binary, "init", "--directory", bench.server_directory, "--host", link.server])
        bench.make_server()
        bench.start_server(options=("--address", link.server), wrapper=link.server_side)
        bench.name_port()
        bench.configure(server=f"https://{link.server}:{bench.port}", retry_min="300", retry_max="300", worklist_interval="3600")
        bench.start_agent(wrapper=link.client_side, environment=manager.environment)
        bench.wait_for_visits()
        bench.plug_oximeter()
        device = bench.wait_for_device()
        bench.cli("visit", "open", bench.visits()[ROUTINE]["id"])
        bench.cli("start", device["name"])
        has_samples(bench)
        bench.cli("stop", device["name"])
        bench.cli("visit", "close")
        eventually("told", lambda: bench.cli("status", "--json")["sync"].get("problem") == "held-metered")
        manager.tell("connection", "modify", "way", "connection.metered", "no")
        manager.tell("device", "reapply", link.cable)
        eventually("received", lambda: all_received(bench))
