"""Arrival and departure through a real udev monitor: the agent runs in umockdev's test bed, the oximeter on a pty behind a
fake CP210x. 10C4:EA60 is every CP210x cable: only the probe makes it an oximeter."""

import subprocess
import time

import pytest
from bench import BIN, ROOT, CommandFailed, Program, eventually


class Testbed:
    """Tests/Bench/udev_testbed.py with the agent as its child."""

    __test__ = False

    def __init__(self, bench):
        log = bench.laptop / "agent.log"
        self.process = subprocess.Popen(
            ["/usr/bin/python3", ROOT / "Tests/Bench/udev_testbed.py", "--wait", "--output", log, "--",
             BIN / "ess-agent", "serve", "--config", bench.config],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.read() == "ok ready"

    def read(self):
        line = self.process.stdout.readline().strip()
        assert line, self.process.stderr.read()
        return line

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.read()
        assert answer.startswith("ok"), answer
        return answer

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()


@pytest.fixture
def testbed(bench):
    bench.make_server()
    bench.configure()
    bed = Testbed(bench)
    yield bed
    bed.close()


def pty_of(bench, *options, name="sim"):
    sim = bench.plug_oximeter(*options, name=name)
    return sim, (bench.directory / name).resolve()


def test_plugged_before_and_after_the_start_and_pulled(bench, testbed):
    sim, pty = pty_of(bench, "--night-seconds", "120")
    testbed.say(f"add ttyUSB7 {pty} 10c4 ea60 SIM0001")
    testbed.say("start")
    eventually("the agent answers", lambda: bench.cli("status", "--json"))

    def device(name, state):
        return lambda: [d for d in bench.cli("devices", "--json") if d["name"] == name and d["state"] == state]

    [seen] = eventually("there from the start", device("ttyUSB7", "ready"))
    assert seen["port"] == "/dev/ttyUSB7" and seen["serial"] == "SIM0001" and seen["driver"] == "contec-oximeter"
    session = bench.cli("download", "ttyUSB7", "--json")
    assert session["recordings"][0]["state"] == "complete"

    # Some other CP210x cable: a candidate, never more.
    other, silent = pty_of(bench, "--faults", "silent", name="other")
    testbed.say(f"add ttyUSB8 {silent} 10c4 ea60 OTHER")
    eventually("a candidate only", device("ttyUSB8", "not-recognised"))
    # Another vendor's: not even that.
    testbed.say(f"add ttyUSB9 {silent} 1234 5678 NOBODY")

    bench.cli("start", "ttyUSB7")
    testbed.say("remove ttyUSB7")
    sim.kill()
    eventually("gone from the list", lambda: not device("ttyUSB7", "capturing")() and not device("ttyUSB7", "ready")())
    eventually(
        "sealed as interrupted",
        lambda: [r for r in bench.recordings() if r["kind"] == "live" and r["state"] == "interrupted"])
    assert {d["name"] for d in bench.cli("devices", "--json")} == {"ttyUSB8"}

    # Back again, on another port of the laptop.
    back, pty = pty_of(bench, "--night-seconds", "120", name="again")
    testbed.say(f"add ttyUSB3 {pty} 10c4 ea60 SIM0001")
    eventually("back", device("ttyUSB3", "ready"))
    assert bench.cli("download", "ttyUSB3", "--json")["skipped"] == 1


def test_port_held_by_another_program_is_said(bench, testbed):
    import fcntl
    import os
    import termios

    sim, pty = pty_of(bench)
    holder = os.open(pty, os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        fcntl.ioctl(holder, termios.TIOCEXCL)
        testbed.say(f"add ttyUSB7 {pty} 10c4 ea60 SIM0001")
        testbed.say("start")
        eventually("the agent answers", lambda: bench.cli("status", "--json"))
        eventually("busy", lambda: [d for d in bench.cli("devices", "--json") if d["state"] == "busy"])
    finally:
        fcntl.ioctl(holder, termios.TIOCNXCL)
        os.close(holder)
    eventually("ready once it is free", lambda: [d for d in bench.cli("devices", "--json") if d["state"] == "ready"])


def test_a_device_that_nobody_may_ask_is_named_by_a_person(bench, testbed):
    """The 8000G has the oximeter cable's identity, and nobody knows what it does with an oximeter's questions."""
    link = bench.directory / "ecg"
    program = Program(bench.directory / "ecg.log", [BIN / "ess-sim", "play", "contec-8000", "--link", link])
    bench.programs.append(program)
    eventually("the simulated port is there", lambda: link.is_symlink())
    pty = link.resolve()
    testbed.say(f"add ttyUSB4 {pty} 10c4 ea60 CABLE7 USB_Serial 3")
    testbed.say("start")
    eventually("the agent answers", lambda: bench.cli("status", "--json"))

    def port(state, name="ttyUSB4"):
        return lambda: [d for d in bench.cli("devices", "--json") if d["name"] == name and d["state"] == state]

    [asked] = eventually("a candidate", port("not-recognised"))
    assert "contec-8000" in asked["choices"] and not asked["chosen"]
    assert "identify ttyUSB4" in bench.cli("devices")
    with pytest.raises(CommandFailed) as failure:
        bench.cli("devices", "identify", "ttyUSB4", "toaster")
    assert failure.value.status == 64 and "contec-8000" in failure.value.error
    named = bench.cli("devices", "identify", "ttyUSB4", "8000G", "--json")
    assert (named["state"], named["driver"], named["chosen"]) == ("ready", "contec-8000", True)
    assert named["support"] == "singleSource" and named["simulated"]
    bench.cli("start", "ttyUSB4")
    eventually("a second", lambda: [d for d in port("capturing")() if d["session"]["recordings"][0]["samples"] >= 500])
    bench.cli("stop", "ttyUSB4")
    [known] = bench.cli("devices", "known", "--json")
    assert known["driver"] == "contec-8000" and known["model"] == "8000G/8100G" and known["surprises"] == []

    # Remembered for this socket with this cable: at once there, and no other probe was tried.
    testbed.say("remove ttyUSB4")
    eventually("gone", lambda: not bench.cli("devices", "--json"))
    testbed.say(f"add ttyUSB5 {pty} 10c4 ea60 CABLE7 USB_Serial 3")
    [back] = eventually("ready", port("ready", "ttyUSB5"), seconds=10)
    assert back["chosen"] and back["driver"] == "contec-8000"
    forgotten = bench.cli("devices", "identify", "ttyUSB5", "--forget", "--json")
    assert forgotten["state"] == "probing" and not forgotten["chosen"]
    # Another cable in that socket is another matter.
    testbed.say("remove ttyUSB5")
    testbed.say(f"add ttyUSB6 {pty} 10c4 ea60 CABLE8 USB_Serial 3")
    eventually("there", lambda: [d for d in bench.cli("devices", "--json") if d["name"] == "ttyUSB6" and not d["chosen"]])


def test_an_old_oximeter_is_found_by_listening_only(bench, testbed):
    link = bench.directory / "old"
    program = Program(bench.directory / "old.log", [BIN / "ess-sim", "play", "contec-legacy", "--link", link])
    bench.programs.append(program)
    eventually("the simulated port is there", lambda: link.is_symlink())
    testbed.say(f"add ttyUSB6 {link.resolve()} 10c4 ea60 CABLE8")
    testbed.say("start")
    eventually("the agent answers", lambda: bench.cli("status", "--json"))
    [old] = eventually("ready", lambda: [d for d in bench.cli("devices", "--json") if d["state"] == "ready"])
    assert old["driver"] == "contec-legacy" and old["simulated"] and old["choices"] == []
    session = bench.cli("download", "ttyUSB6", "--json")
    assert [r["state"] for r in session["recordings"]] == ["complete"]
    assert session["recordings"][0]["samples"] == 600
    detail = bench.cli("recording", session["recordings"][0]["recording"], "--json")
    # Hours and minutes are no date: the nurse is asked.
    assert detail["clock"]["deviceRaw"] == "22:40" and "start" not in detail["recording"]
    assert bench.cli("download", "ttyUSB6", "--json")["skipped"] == 1
