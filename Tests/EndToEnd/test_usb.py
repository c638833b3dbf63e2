"""USB devices with the real agent, the real libusb and the real libudev: the agent runs in umockdev's test bed, and what it
submits through usbfs goes to `ess-sim usbip`. Nurses' actions only; the devices are found by what udev says of them."""

import pytest
from bench import BIN, eventually
from test_udev import Testbed
from test_usbip import Server


@pytest.fixture
def testbed(bench):
    bench.make_server()
    bench.configure()
    bed = Testbed(bench)
    yield bed
    bed.close()


@pytest.fixture
def sims():
    started = []

    def start(*devices):
        started.append(Server(*devices))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.close()


def start_agent(bench, testbed):
    testbed.say("start")
    eventually("the agent answers", lambda: bench.cli("status", "--json"))


def device(bench, driver, state="ready", serial=None):
    def look():
        return [d for d in bench.cli("devices", "--json")
                if d["driver"] == driver and d["state"] == state and serial in (None, d.get("serial"))]

    return look


def detached_and_given_back(testbed, name, interface=0):
    """Every session took this interface from the kernel's driver, and no other one, and gave it back at its end."""
    seen = testbed.say(f"seen {name}").split()[1:]
    assert not [word for word in seen if word.startswith(("failed", "unknown"))], seen
    assert not [word for word in seen if word.startswith(("nowhere", "another's"))], seen
    sessions = [word for word in seen if word.startswith(("detach", "claim", "attach"))]
    once = [f"detach+claim:{interface:02x}", f"attach:{interface:02x}"]
    assert sessions and sessions == once * (len(sessions) // 2), sessions
    return seen


def test_pressure_monitors_are_recognised_and_read(bench, testbed, sims):
    bench.start_server()
    server = sims("omron-pressure", "beurer-pressure", "phdc:blood-pressure")
    testbed.say(f"plug omron 127.0.0.1 {server.port} 1-1")
    start_agent(bench, testbed)
    eventually("there from the start", device(bench, "omron-pressure"))
    testbed.say(f"plug beurer 127.0.0.1 {server.port} 1-2")
    testbed.say(f"plug phd 127.0.0.1 {server.port} 1-3")
    [omron] = eventually("Omron", device(bench, "omron-pressure"))
    [beurer] = eventually("Beurer", device(bench, "beurer-pressure"))
    [phd] = eventually("personal health device", device(bench, "phdc"))
    assert (omron["model"], omron["serial"], omron["support"]) == ("M7080IT", "SIM0001", "verified")
    assert (beurer["model"], beurer["serial"]) == ("BM58", "SIM0002")
    assert phd["support"] == "singleSource" and phd["serial"] == "SIM0003"

    visit = bench.wait_for_visits()[0]
    bench.cli("visit", "open", visit["id"])
    session = bench.cli("download", omron["name"], "--json")
    # Two users, and what the monitor computed of the one whole week that it has of each.
    assert [r["state"] for r in session["recordings"]] == ["complete"] * 4
    details = [bench.cli("recording", r["recording"], "--json") for r in session["recordings"]]
    assert [[r["value"] for r in d["readings"] if r["kind"] == "systolic"] for d in details] == [
        [126, 129, 132], [114, 117], [128], [115]]
    assert [{r["bank"] for r in d["readings"]} for d in details] == [{0}, {1}, {0}, {1}]
    assert all("computed by the device" in " ".join(r["flags"]) for d in details[2:] for r in d["readings"])
    assert bench.cli("download", omron["name"], "--json")["skipped"] == 4
    # The open visit has one patient, the monitor two: none of it is the patient's before the nurse says which.
    assert [d["recording"].get("visit") for d in details] == [None] * 4
    assert all("plusieurs personnes" in d["recording"]["attention"] for d in details)
    bench.cli("attribute", details[1]["recording"]["id"], visit["id"])
    assert [r.get("visit") for r in bench.recordings() if r["id"] == details[1]["recording"]["id"]] == [visit["id"]]

    session = bench.cli("download", beurer["name"], "--json")
    assert len(session["recordings"]) == 2 and all(r["state"] == "complete" for r in session["recordings"])
    # Commands to a HID interface without an OUT endpoint go by SET_REPORT.
    seen = detached_and_given_back(testbed, "beurer")
    assert "control:21:09:0200:0000:a201f4f4f4f4f4f4" not in seen
    assert "control:21:09:0200:0000:a2f4f4f4f4f4f4f4" in seen and not [w for w in seen if w.startswith("out:")]
    seen = detached_and_given_back(testbed, "omron")
    assert "control:21:09:0300:0000:0101" in seen
    assert not [word for word in seen if "4d434c" in word], "nothing that clears the memory"


def test_a_device_is_found_wherever_its_interface_is_and_nothing_else_is_taken(bench, testbed, sims):
    """A composite device's keyboard stays the kernel's, and endpoints may stand in another setting than the first one."""
    server = sims("omron-pressure", "beurer-pressure", "contec-ecg90a", "phdc:scale", "omron-pressure")
    arrangements = {"omron": "behind-a-keyboard", "beurer": "behind-a-keyboard", "ecg": "in-setting-1", "scale": "in-setting-1",
                    "keys": "keyboard-alone"}
    for index, (name, arrangement) in enumerate(arrangements.items()):
        testbed.say(f"plug {name} 127.0.0.1 {server.port} 1-{index + 1} {arrangement}")
    start_agent(bench, testbed)
    [omron] = eventually("behind its keyboard", device(bench, "omron-pressure", serial="SIM0001"))
    [beurer] = eventually("behind its keyboard, too", device(bench, "beurer-pressure"))
    [ecg] = eventually("in its setting", device(bench, "contec-ecg90a"))
    [scale] = eventually("a bulk pair in its setting", device(bench, "phdc"))

    assert len(bench.cli("download", omron["name"], "--json")["recordings"]) == 4
    seen = detached_and_given_back(testbed, "omron", interface=1)
    assert "control:21:09:0300:0001:0101" in seen and not [word for word in seen if word.startswith("setting")]
    assert len(bench.cli("download", beurer["name"], "--json")["recordings"]) == 2
    seen = detached_and_given_back(testbed, "beurer", interface=1)
    assert "control:21:09:0200:0001:a2f4f4f4f4f4f4f4" in seen

    bench.cli("start", ecg["name"])
    eventually("a second of it", lambda: [
        r for d in bench.cli("devices", "--json") if d["name"] == ecg["name"] and d.get("session")
        for r in d["session"]["recordings"] if r["samples"] >= 800])
    assert bench.cli("stop", ecg["name"], "--json")["recordings"][0]["state"] == "complete"
    for name in ("ecg", "scale"):
        seen = detached_and_given_back(testbed, name)
        # Each time behind the claim: who gives an interface back gives it back in its setting 0.
        assert seen.count("setting:00:1") == seen.count("detach+claim:00") > 0
        assert not [word for word in seen if word.startswith("setting") and word != "setting:00:1"]

    # What has nothing for us is a candidate that nobody recognises, and keeps its driver.
    eventually("refused", lambda: [
        d for d in bench.cli("devices", "--json") if d["state"] == "not-recognised" and d["name"] not in
        [omron["name"], beurer["name"], ecg["name"], scale["name"]]])
    seen = testbed.say("seen keys").split()[1:]
    assert not [word for word in seen if word.startswith(("detach", "claim", "control", "out"))], seen


def test_a_live_ecg_whose_cable_is_pulled_keeps_everything(bench, testbed, sims):
    server = sims("contec-ecg90a", "contec-ecg90a")
    testbed.say(f"plug first 127.0.0.1 {server.port} 1-1")
    testbed.say(f"plug second 127.0.0.1 {server.port} 1-2")
    start_agent(bench, testbed)
    [first] = eventually("one", device(bench, "contec-ecg90a", serial="SIM0001"))
    [second] = eventually("and one of the same model", device(bench, "contec-ecg90a", serial="SIM0002"))
    bench.cli("start", first["name"])
    bench.cli("start", second["name"])

    def samples(serial):
        return [r["samples"] for d in bench.cli("devices", "--json") if d.get("serial") == serial and d.get("session")
                for r in d["session"]["recordings"]]

    eventually("three seconds of the first", lambda: [n for n in samples("SIM0001") if n >= 2400])
    durable = samples("SIM0001")[0]
    testbed.say("unplug first")
    eventually("gone", lambda: not device(bench, "contec-ecg90a", "capturing", "SIM0001")())
    [cut] = eventually("sealed as interrupted",
                       lambda: [r for r in bench.recordings() if r["serial"] == "SIM0001" and r["state"] == "interrupted"])
    assert cut["endReason"] == "deviceGone" and cut["seconds"] * 800 >= durable
    # The other one goes on.
    now = samples("SIM0002")[0]
    eventually("more of the second", lambda: samples("SIM0002")[0] > now)
    session = bench.cli("stop", second["name"], "--json")
    assert [r["state"] for r in session["recordings"]] == ["complete"]
    whole = bench.cli("recording", session["recordings"][0]["recording"], "--json")
    assert len(whole["channels"]) == 12 and whole["recording"]["support"] == "singleSource"
    assert not [n for n in whole["notes"] if n["kind"] == "gap"], whole["notes"]
    detached_and_given_back(testbed, "second")

    # Plugged in again, it is there again, and records again.
    testbed.say(f"plug first 127.0.0.1 {server.port} 1-1")
    [again] = eventually("back", device(bench, "contec-ecg90a", serial="SIM0001"))
    bench.cli("start", again["name"])
    eventually("a second", lambda: [n for n in samples("SIM0001") if n >= 800])
    assert bench.cli("stop", again["name"], "--json")["recordings"][0]["state"] == "complete"


def test_faulty_devices_do_no_harm(bench, testbed, sims):
    server = sims("omron-pressure+dies", "contec-ecg90a+nonsense", "phdc:oximeter+silent", "contec-ecg90a+stalls",
                  "omron-pressure+other-model")
    for index, name in enumerate(["dies", "nonsense", "silent", "stalls", "other"]):
        testbed.say(f"plug {name} 127.0.0.1 {server.port} 1-{index + 1}")
    start_agent(bench, testbed)
    [dies] = eventually("recognised", device(bench, "omron-pressure", serial="SIM0001"))
    [stalls] = eventually("recognised", device(bench, "contec-ecg90a", serial="SIM0004"))
    assert not device(bench, "phdc")()
    bench.cli("start", stalls["name"])
    eventually("ended by the device's silence",
               lambda: [r for r in bench.recordings() if r["serial"] == "SIM0004" and r.get("endReason") == "deviceEnded"])
    eventually("the others are candidates",
               lambda: len([d for d in bench.cli("devices", "--json") if d["state"] == "not-recognised"]) == 3)
    status = bench.cli("status", "--json")
    assert status["devices"] == 5


def test_a_personal_health_device_that_gave_up_begins_anew(bench, testbed, sims):
    """Silent from the start, and silent again after the probe's abort (phdc.md 2.10)."""
    server = sims("phdc:scale+gave-up+sulks", "phdc:scale+silent")
    testbed.say(f"plug scale 127.0.0.1 {server.port} 1-1")
    testbed.say(f"plug dead 127.0.0.1 {server.port} 1-2")
    start_agent(bench, testbed)
    [scale] = eventually("recognised after a renewal", device(bench, "phdc"), seconds=40)
    seen = testbed.say("seen scale").split()
    assert [word for word in seen if word.startswith("configuration")] == ["configuration:-1", "configuration:1"]
    bench.cli("start", scale["name"])
    readings = eventually("its weight", lambda: [
        reading for r in bench.recordings()
        for reading in bench.cli("recording", r["id"], "--json")["readings"]], seconds=40)
    assert readings[0]["kind"] == "weight", readings
    seen = testbed.say("seen scale").split()
    assert [word for word in seen if word.startswith("configuration")] == ["configuration:-1", "configuration:1"]
    # The other one stays silent. It is looked for again and again; it begins anew once.
    words = []

    def looked_for_twice():
        words.extend(testbed.say("seen dead").split())
        return words.count("detach+claim:00") >= 3

    eventually("opened, renewed, opened again", looked_for_twice, seconds=90)
    assert words.count("configuration:-1") == 1, words
