"""What devices cost: eight live ECGs through the real libusb, a full oximeter memory, an arrival, and each codec's throughput.

The USB devices are `ess-sim usbip`, met by the agent in umockdev's test bed. The test bed answers usbfs in Python, which costs the
machine much and the agent a wake-up every few milliseconds that a kernel would spare it: the agent's CPU here is an upper bound.
ESS_BENCH_SECONDS sets the length of the stream (30; ten minutes for the memory's flatness)."""

import json
import os
import pathlib
import subprocess
import tempfile
import time

import table
from bench import BIN, ROOT, Bench, eventually
from process import cpu, resident
from test_udev import Testbed
from test_usbip import Server

SECONDS = int(os.environ.get("ESS_BENCH_SECONDS", "30"))


def started(world):
    world.make_server()
    world.configure(log_level="info")
    bed = Testbed(world)
    pid = int(bed.say("start").split()[1])
    eventually("the agent answers", lambda: world.cli("status", "--json"))
    return bed, pid


def ready(world):
    return [d for d in world.cli("devices", "--json") if d["state"] == "ready"]


def samples_of(world, name):
    """Of the running recording's first channel; None before there is one."""
    session = next(d for d in world.cli("devices", "--json") if d["name"] == name)["session"]
    return session["recordings"][0]["samples"] if session and session["recordings"] else None


def eight_streams(device, rate, leads):
    """`rate` samples a second of `leads` leads, from each of eight devices."""
    world, server = Bench(), Server(*[device] * 8)
    bed, pid = started(world)
    try:
        idle = cpu(pid)
        time.sleep(3)
        idle = (cpu(pid) - idle) / 3
        names = []
        for index in range(8):
            begin = time.monotonic()
            bed.say(f"plug ecg{index} 127.0.0.1 {server.port} 1-{index + 1}")
            eventually("ready", lambda: [d for d in ready(world) if d["name"] not in names], seconds=60)
            if index == 0:
                seconds = time.monotonic() - begin
                table.row(f"arrival of {device} to ready", seconds, "s", bound="<= 1 s after its probe answers",
                          holds=seconds <= 1, note="with two calls of the command line in it")
            # At once: a device that associates by itself tries for half a minute after it was asked who it is, then no more.
            names = [d["name"] for d in ready(world) if d["name"] not in names] + names
            world.cli("start", names[0])
        # A device that was asked who it is may take its time to come back.
        for name in names:
            eventually("it streams", lambda: (samples_of(world, name) or 0) > rate, seconds=60)
        first = {name: samples_of(world, name) for name in names}
        before, memory, begin = cpu(pid), resident(pid), time.monotonic()
        time.sleep(SECONDS)
        spent, grown, lasted = cpu(pid) - before, resident(pid) - memory, time.monotonic() - begin
        came = [samples_of(world, name) - first[name] for name in names]
        gaps, total = [], []
        for name in names:
            session = world.cli("stop", name, "--json")
            detail = world.cli("recording", session["recordings"][0]["recording"], "--json")
            gaps += [n["text"] for n in detail["notes"] if n["kind"] == "gap"]
            total.append(detail["channels"][0]["samples"])
        # Blocks are a second long, and the eight are looked at one after the other.
        slack = rate * 3
        wanted = rate * lasted
        # Where the machine is busy the device that is played may itself be late: then its samples are fewer than the clock says.
        table.row(f"eight of {device}, gaps", len(gaps), bound="0", holds=not gaps,
                  note="; ".join([f"{min(total)} to {max(total)} samples of {leads} leads each, {rate} Hz", *gaps[:3]]))
        table.row(f"eight of {device}, slowest stream", min(came) / lasted, "Hz", baseline=rate, note="beside: the device's",
                  bound="the device's", holds=min(came) > wanted - slack)
        equivalent = spent / lasted / 8 * (12 * 1000) / (leads * rate) * 100
        table.row("agent's CPU for each stream of 12 x 1000 Hz", equivalent, "% of a core", baseline=idle * 100 / 8,
                  bound="<= 15 %", holds=equivalent <= 15, note="beside: idle in the same test bed, an eighth of it")
        table.row("agent's memory, growth", grown, "kB", bound="flat", holds=grown < 20_000 if SECONDS >= 60 else None,
                  note=f"{lasted:.0f} s, from {memory} kB; {8 * leads * rate * lasted / 1e6:.1f} M samples came")
    finally:
        bed.close()
        server.close()
        world.close()


def full_memory():
    world = Bench()
    world.make_server()
    world.name_port()
    world.configure(log_level="info")
    try:
        world.start_agent()
        # 86 400 seconds, at the speed of the line: 115200 baud.
        world.plug_oximeter("--night-seconds", "86400")
        world.wait_for_device()
        pid = world.agent.process.pid
        before, begin = cpu(pid), time.monotonic()
        session = world.cli("download", "ttySIM0", "--json", timeout=300)
        spent, lasted = cpu(pid) - before, time.monotonic() - begin
        line = 86_400 / 3 * 8 / 11_520
        assert session["recordings"][0]["samples"] == 86_400
        table.row("24 h of an oximeter, download", lasted, "s", baseline=line, note="beside: what the line needs",
                  bound="the line's time", holds=lasted < 1.25 * line)
        table.row("24 h of an oximeter, CPU", spent / lasted * 100, "% of a core", bound="< 5 %", holds=spent / lasted < 0.05)
    finally:
        world.close()


def codecs():
    """Megabytes a second of each driver, beside the same lines through the driver that does least."""
    with tempfile.TemporaryDirectory() as place:
        speeds = {}
        for driver in ("contec-oximeter", "contec-legacy", "contec-ecg90a", "contec-8000", "omron-pressure", "beurer-pressure", "phdc"):
            longest = max((ROOT / "fixtures" / driver).glob("*.transcript"), key=lambda p: p.stat().st_size)
            lines = longest.read_text().splitlines()
            many = pathlib.Path(place, "many.transcript")
            one = pathlib.Path(place, "one.transcript")
            times = max(1, 4_000_000 // longest.stat().st_size)
            many.write_text("\n".join(lines * times) + "\n")
            one.write_text("\n".join(lines) + "\n")
            seconds = {}
            for path in (one, many):
                begin = time.monotonic()
                subprocess.run([BIN / "ess-agent", "replay", driver, path, "--json"], check=True, stdout=subprocess.DEVNULL)
                seconds[path] = time.monotonic() - begin
            heard = sum(len(line.split("+")[0].split()) - 2 for line in lines if line.startswith("<")) * (times - 1)
            speeds[driver] = heard / 1e6 / max(1e-6, seconds[many] - seconds[one])
        slowest = min(speeds.values())
        for driver, speed in speeds.items():
            table.row(f"{driver}: text and codec", speed, "MB/s", baseline=slowest, note="beside: the slowest of them")


def bench():
    codecs()
    full_memory()
    eight_streams("phdc:ecg+twelve-leads", 1000, 12)
    eight_streams("contec-ecg90a", 800, 12)
