"""The way to the server, in release, beside curl to the same server in the same run: a slow link with cuts, loopback, a backlog of
small recordings, and what it costs to have nothing to do."""

import base64
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import time
import uuid

import door
import requests
from bench import Bench, eventually
from bench_footprint import UDEV, UDEV_NOTE
from links import Link
from table import row

MEGABYTES = 100
CUTS = 20


def load(bench, cases, seconds, visit=0):
    """A closed visit with that many ECGs of that length, all frozen; the server is down."""
    bench.cli("visit", "open", bench.visits()[visit]["id"])
    # A card holds 60 cases; each card is another device, and other hours.
    for first in range(0, cases, 50):
        card = bench.make_card("--cases", min(50, cases - first), "--seconds", seconds, "--number", first // 50 + 1)
        bench.cli("import", card, timeout=3600)
        shutil.rmtree(card)
    bench.cli("visit", "close")

    def frozen():
        counts = bench.cli("status", "--json")["counts"]
        return counts["waiting"] and counts["waiting"] >= 2 * cases

    eventually("everything is frozen", frozen, seconds=1800)


def waiting(bench):
    return bench.cli("status", "--json")["counts"]["waiting"]


def delivered(bench, seconds):
    """Seconds until nothing waits, from now."""
    start = time.monotonic()
    bench.cli("sync")
    eventually("received", lambda: door.status(bench)["counts"]["waiting"] == 0, seconds=seconds)
    return time.monotonic() - start


def curl(bench, size, host="localhost", wrapper=()):
    """Seconds for one uninterrupted PATCH of that many bytes, as curl sends it, and until its receipt is there."""
    blob = bench.directory / "blob"
    with open(blob, "wb") as file:
        while file.tell() < size:
            file.write(os.urandom(min(1 << 20, size - file.tell())))
    digest = hashlib.sha256(blob.read_bytes()).hexdigest()
    rid = str(uuid.uuid4())
    pairs = {"filename": f"{rid}.bin", "filetype": "application/octet-stream", "rid": rid, "sha256": digest, "visit": "bench"}
    metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())
    common = [*wrapper, "curl", "-sS", "--fail", "--cacert", bench.laptop / "ca.pem", "--cert", bench.laptop / "client.pem",
              "--key", bench.laptop / "client.key", "-H", "Tus-Resumable: 1.0.0", "--http1.1"]
    head = subprocess.run(
        [*common, "-X", "POST", "-D", "-", "-H", f"Upload-Length: {size}", "-H", f"Upload-Metadata: {metadata}",
         f"https://{host}:{bench.port}/files"], check=True, capture_output=True, text=True).stdout
    location = re.search(r"(?im)^location:\s*(\S+)", head).group(1)
    if not location.startswith("https"):
        location = f"https://{host}:{bench.port}{location}"
    start = time.monotonic()
    subprocess.run(
        [*common, "-X", "PATCH", "-T", blob, "-H", "Upload-Offset: 0", "-H", "Expect:",
         "-H", "Content-Type: application/offset+octet-stream", location], check=True)
    took = time.monotonic() - start
    receipt = [*common, "--output", os.devnull, "--write-out", "%{http_code}",
               f"https://{host}:{bench.port}/ess/v1/recordings/{rid}/receipt"]
    eventually("its receipt", lambda: subprocess.run(
        [part for part in receipt if part != "--fail"], capture_output=True, text=True).stdout == "200", seconds=300)
    received = time.monotonic() - start
    blob.unlink()
    return took, received


def sizes(bench):
    return sum(d["size"] for r in bench.recordings() for d in r["documents"])


def prepared(*, host="localhost", wrapper=(), server_wrapper=(), address=None, **settings):
    bench = Bench()
    try:
        bench._run([bench.server_binary, "init", "--directory", bench.server_directory, "--host", host])
        bench.make_server()
        options = ("--address", address) if address else ()
        bench.start_server(options=options, wrapper=server_wrapper)
        bench.configure(server=f"https://{host}:{bench.port}", log_level="notice", worklist_interval="3600", **settings)
        bench.start_agent(wrapper=wrapper)
        bench.wait_for_visits()
        bench.server.kill()
        return bench
    except BaseException:
        bench.close()
        raise


def loopback():
    """Until the last receipt on both sides: before that nobody knows what arrived."""
    bench = prepared()
    try:
        # Some seconds' worth, so that it is a rate: finding the server and telling it the facts takes 0.3 s however much there is.
        load(bench, 54, 600)
        size = sizes(bench)
        count = waiting(bench)
        bench.start_server()
        took = delivered(bench, 900)
        baseline, received = curl(bench, size)
        rate = size / took / 1e6
        row("loopback, uncut, to the last receipt", rate, "MB/s", baseline=size / received / 1e6, bound=">= 0.7 of curl",
            holds=took * 0.7 <= received,
            note=f"{size / 1e6:.0f} MB in {count} documents, opened and checked chunk by chunk; curl as one file, unchecked")
        row("the same", rate, "MB/s", baseline=size / baseline / 1e6,
            note="beside curl until its answer, before the server has hashed anything")
    finally:
        bench.close()


def slow_link():
    if os.geteuid():
        return row("8 Mbit/s with 20 cuts", "-", note="skipped: needs root for a network namespace")
    with Link("8mbit") as link:
        bench = prepared(host=link.server, wrapper=link.client_side, server_wrapper=link.server_side, address=link.server)
        try:
            load(bench, 9, 600)
            size = sizes(bench)
            options = ("--address", link.server)
            bench.start_server(f"drop-after-bytes={size // CUTS}", options=options, wrapper=link.server_side)
            sent = link.sent()
            took = delivered(bench, 1200)
            sent = link.sent() - sent
            bench.server.kill()
            bench.start_server(options=options, wrapper=link.server_side)
            before = link.sent()
            baseline, _ = curl(bench, size, host=link.server, wrapper=link.client_side)
            once = link.sent() - before
            row("8 Mbit/s with 20 cuts: time", took, "s", baseline=baseline, bound="<= 1.1 of an uncut curl",
                holds=took <= 1.1 * baseline, note=f"{size / 1e6:.0f} MB")
            row("8 Mbit/s with 20 cuts: bytes on the link", sent / 1e6, "MB", baseline=once / 1e6, bound="<= 1.1 of the payload",
                holds=sent <= 1.1 * size, note="TLS and TCP headers included")
        finally:
            bench.close()


def backlog():
    bench = prepared()
    try:
        load(bench, 2500, 1)
        items = waiting(bench)
        bench.start_server()
        took = delivered(bench, 900)
        row("a backlog of small recordings", items / took, "items/s", bound=">= 20", holds=items / took >= 20,
            note=f"{items} documents")
    finally:
        bench.close()


def idle():
    bench = prepared(wrapper=UDEV)
    try:
        bench.start_server()
        bench.cli("sync", "--wait")
        time.sleep(5)
        before, requests_before = switches(bench.agent.process.pid), bench.server.text().count("route=")
        # Long enough for what is done once in a while.
        seconds = 100
        time.sleep(seconds)
        wakeups = (switches(bench.agent.process.pid) - before) / seconds
        asked = bench.server.text().count("route=") - requests_before
        row("idle: requests", asked, f"in {seconds} s", bound="none", holds=asked == 0)
        row("idle: wake-ups", wakeups, "per s", bound="<= 1", holds=wakeups <= 1, note=f"voluntary context switches of all threads; {UDEV_NOTE}")
    finally:
        bench.close()


def switches(pid):
    total = 0
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        total += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read_text(), re.M).group(1))
    return total


def bench():
    loopback()
    backlog()
    idle()
    slow_link()
