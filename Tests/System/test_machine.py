"""The whole way on a whole machine: real kernel, udev, systemd and USB; packages installed by apt; faults from outside.

At the end of each scenario the server outside must hold each recording that the laptop had reported as stored: once, with its hash, for
its patient. `make test-system` runs it (about 12 minutes).
"""

import os
import pathlib
import shutil
import subprocess
import time

import bench
import guest_tree
import machine
import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: chroot and mounts")


class Outside:
    """What isn't in the laptop: the centre's server, and devices."""

    def __init__(self):
        self.bench = bench.Bench()
        run = self.bench._run
        server = bench.BIN / "ess-server"
        run([server, "init", "--directory", self.bench.server_directory, "--host", "10.0.2.2"])
        run([server, "seed", "--directory", self.bench.server_directory])
        run([server, "enrol", "--directory", self.bench.server_directory, "--name", "laptop-1", "--output", self.bench.laptop])
        self.bench.start_server()

    @property
    def files(self):
        return self.bench.server_files()

    def usb(self, *devices):
        """A USB/IP server that plays devices; returns its port and their bus ids."""
        process = subprocess.Popen([bench.BIN / "ess-sim", "usbip", "--port", "0", *devices], stdout=subprocess.PIPE, text=True)
        self.bench.programs.append(PlainProgram(process))
        port = int(process.stdout.readline().split(":")[-1])
        return port, [process.stdout.readline().split()[0] for _ in devices]

    def card(self, scratch, name, *options):
        """A FAT image with an ECG card's files."""
        tree = self.bench.make_card(*map(str, options))
        image = scratch / f"{name}.img"
        guest_tree.run("mkfs.vfat", "-C", "-n", "ECG", str(image), "32768")
        guest_tree.run("mcopy", "-s", "-i", str(image), *[str(p) for p in sorted(tree.iterdir())], "::/")
        return image

    def close(self):
        self.bench.close()


class PlainProgram:
    def __init__(self, process):
        self.process = process

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def outside():
    outside = Outside()
    yield outside
    outside.close()


@pytest.fixture(scope="session")
def image(outside, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("image")
    keys = outside.bench.laptop
    return machine.make_image(
        scratch,
        {
            "server": f"https://10.0.2.2:{outside.bench.port}", "server-ca": "/etc/ess-agent/ca.pem",
            "client-certificate": "/etc/ess-agent/client.pem", "client-key": "/etc/ess-agent/client.key", "test-server": "yes",
            "retry-min": "0.5", "retry-max": "2", "worklist-interval": "5",
        },
        [(keys / name, f"/etc/ess-agent/{name}") for name in ("ca.pem", "client.pem", "client.key")])


@pytest.fixture(scope="session")
def running(image, tmp_path_factory):
    with machine.machine(tmp_path_factory.mktemp("laptop"), image) as laptop:
        yield laptop.boot()


@pytest.fixture
def laptop(running):
    if running.control is None:
        running.boot()
    running.link(True)
    running.wait("the agent answers", lambda: running.agent("status", "--json"))
    running.wait("visits came down", lambda: running.agent("visits", "--json"))
    yield running


@pytest.fixture
def visit(laptop):
    """An open visit; closed again at the end."""
    chosen = laptop.agent("visits", "--json")[0]["id"]
    laptop.agent("visit", "open", chosen)
    yield chosen
    if laptop.control is not None:
        laptop.agent("visit", "close", check=False)


def device(laptop, driver, state="ready"):
    """The plugged-in device of a driver, once it is in a state."""
    def there():
        return next((d for d in laptop.agent("devices", "--json") if d.get("driver") == driver and d["state"] == state), None)
    return laptop.wait(f"a {driver} is {state}", there)


def everything_arrived(laptop, outside, at_least):
    """Each recording that has a patient is at the server once, as the laptop has it; returns the recordings."""
    laptop.agent("sync", "--wait", "--timeout", "150", seconds=200)
    recordings, files = laptop.agent("recordings", "--json"), outside.files
    documents = [d for r in recordings for d in r["documents"]]
    assert len(documents) == len({d["id"] for d in documents})
    for document in documents:
        assert document["state"] == "received", document
        assert files[document["id"]] == (document["size"], document["sha256"]), document
    assert set(files) == {d["id"] for d in documents}, "the server has something that the laptop doesn't know"
    assert len(recordings) >= at_least
    return recordings


def test_booted_ready_and_confined(laptop):
    show = dict(
        line.split("=", 1) for line in laptop.sh(
            "systemctl show ess-agent -p ActiveState,SubState,User,StatusText,NRestarts,Type,WatchdogUSec,MainPID").splitlines())
    assert (show["ActiveState"], show["SubState"], show["User"], show["NRestarts"]) == ("active", "running", "ess-agent", "0")
    assert show["Type"] == "notify" and show["WatchdogUSec"] != "0" and show["StatusText"]
    status = laptop.sh(f"cat /proc/{show['MainPID']}/status")
    values = dict(line.split(":", 1) for line in status.splitlines())
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(values[kind], 16) == 0, f"{kind} is {values[kind]}"
    assert values["NoNewPrivs"].strip() == "1" and values["Seccomp"].strip() == "2"
    assert laptop.sh("systemctl --failed --no-legend --plain").strip() == ""
    assert laptop.sh("stat -c '%a %U %G' /var/lib/ess-agent /run/ess-agent /run/ess-agent/api.sock").split("\n")[:3] == [
        "700 ess-agent ess-agent", "750 ess-agent ess-agent", "660 ess-agent ess-agent"]
    # Whoever isn't in the group has no way in.
    assert "11" in laptop.sh("runuser -u nobody -- ess-agent status >/dev/null 2>&1; echo $?")


def test_a_night_in_an_oximeter_behind_a_serial_bridge(laptop, visit, outside):
    port, ids = outside.usb("contec-oximeter")
    laptop.attach(port, ids[0])
    found = device(laptop, "contec-oximeter")
    assert laptop.sh(f"stat -c '%G %a' /dev/{found['name']}").split() == ["ess-agent", "660"]
    before = len(laptop.agent("recordings", "--json"))
    laptop.agent("download", found["name"], seconds=200)
    laptop.wait("the night is there", lambda: len(laptop.agent("recordings", "--json")) > before)
    laptop.detach_all()
    laptop.wait("the oximeter is gone", lambda: not laptop.agent("devices", "--json"))
    recordings = everything_arrived(laptop, outside, before + 1)
    assert recordings[-1].get("visit", visit) == visit


def test_a_stick_is_mounted_read_only_and_imported(laptop, visit, outside, tmp_path):
    laptop.plug_stick(outside.card(tmp_path, "card"))
    place = laptop.wait("mounted", lambda: laptop.sh("findmnt -rn -o TARGET | grep ^/run/ess-media/")).split()[0]
    options = laptop.sh(f"findmnt -rn -o OPTIONS {place}").strip().split(",")
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(options)
    assert "Permission denied" in laptop.sh(f"runuser -u nobody -- ls {place} 2>&1", check=False)
    # Beside a desktop's automounter, which mounts the same device writable.
    source = pathlib.Path(place).name
    laptop.sh(f"mkdir -p /media/nurse && mount -o rw,uid=$(id -u nurse) /dev/{source} /media/nurse && touch /media/nurse/x && umount /media/nurse")
    before = len(laptop.agent("recordings", "--json"))
    view = laptop.agent("import", place, "--json", seconds=200)
    assert len(view["imported"]) >= 1 and not view["failed"]
    laptop.pull_stick()
    laptop.wait("unmounted", lambda: not laptop.sh(f"findmnt -rn {place}", check=False).strip())
    assert laptop.sh("systemctl --failed --no-legend --plain").strip() == ""
    everything_arrived(laptop, outside, before + len(view["imported"]))


def live_ecg(laptop, outside):
    """A running live capture of a simulated electrocardiograph: its id, and a way to ask how many samples a channel has safely."""
    port, ids = outside.usb("contec-ecg90a")
    laptop.attach(port, ids[0])
    name = device(laptop, "contec-ecg90a")["name"]
    laptop.agent("start", name)

    def session():
        found = next((d for d in laptop.agent("devices", "--json") if d["name"] == name), {}).get("session")
        return found["recordings"][0] if found and found["recordings"] else None
    rid = laptop.wait("a recording is open", session)["recording"]

    def safe():
        return (session() or {}).get("samples", 0)
    return rid, safe


def recording(laptop, rid):
    return next(r for r in laptop.agent("recordings", "--json") if r["id"] == rid)


def kept_samples(laptop, rid):
    return min(channel["samples"] for channel in laptop.agent("recording", rid, "--json")["channels"])


def test_power_cut_in_a_live_ecg(laptop, visit, outside):
    rid, safe = live_ecg(laptop, outside)
    stored = laptop.wait("three seconds are stored", lambda: safe() if safe() >= 750 else None)
    laptop.cut_power()
    laptop.boot()
    laptop.wait("the agent answers", lambda: laptop.agent("status", "--json"))
    assert kept_samples(laptop, rid) >= stored, "what was reported as stored is gone"
    kept = recording(laptop, rid)
    assert (kept["state"], kept["visit"]) == ("interrupted", visit)
    everything_arrived(laptop, outside, 1)


def test_pulled_out_in_a_live_ecg(laptop, visit, outside):
    rid, safe = live_ecg(laptop, outside)
    stored = laptop.wait("three seconds are stored", lambda: safe() if safe() >= 750 else None)
    laptop.detach_all()
    kept = laptop.wait("sealed", lambda: r if (r := recording(laptop, rid))["state"] != "open" else None)
    assert kept["state"] == "interrupted" and kept_samples(laptop, rid) >= stored
    everything_arrived(laptop, outside, 1)


def import_card(laptop, outside, scratch, number, seconds=10):
    """A card of its own number comes in; the stick is pulled out again. Returns the recordings' ids.

    (Devices over USB/IP would lose their cable together with the network.)
    """
    name = f"card{number}"
    laptop.plug_stick(outside.card(scratch, name, "--number", number, "--seconds", seconds, "--heart-rate", 50 + number), name)
    place = laptop.wait("mounted", lambda: laptop.sh("findmnt -rn -o TARGET | grep ^/run/ess-media/")).split()[0]
    view = laptop.agent("import", place, "--json", seconds=200)
    laptop.pull_stick(name)
    laptop.wait("unmounted", lambda: not laptop.sh(f"findmnt -rn {place}", check=False).strip())
    assert view["imported"] and not view["failed"]
    return view["imported"]


def waiting(laptop):
    return laptop.agent("status", "--json")["counts"]["waiting"]


def test_power_cut_in_an_upload_on_a_bad_line(laptop, visit, outside, tmp_path):
    laptop.link(False)
    rid = import_card(laptop, outside, tmp_path, 11, seconds=30)[0]
    laptop.wait("frozen", lambda: recording(laptop, rid)["documents"])
    # A village's network: 96 kbit/s, a quarter of a second away, every fiftieth packet lost.
    laptop.sh("modprobe sch_netem && tc qdisc replace dev $(ls /sys/class/net | grep ^en) root netem delay 250ms loss 2% rate 96kbit")
    laptop.link(True)
    laptop.wait(
        "in the middle of sending", lambda: any(d["state"] == "sending" for d in recording(laptop, rid)["documents"]), 150)
    laptop.cut_power()
    laptop.boot()
    laptop.wait("the agent answers", lambda: laptop.agent("status", "--json"))
    everything_arrived(laptop, outside, 1)


def test_the_network_goes_and_comes(laptop, visit, outside, tmp_path):
    laptop.link(False)
    rid = import_card(laptop, outside, tmp_path, 12)[0]
    laptop.wait("it waits", lambda: waiting(laptop) > 0)
    laptop.link(True)

    def received():
        documents = recording(laptop, rid)["documents"]
        return documents and all(d["state"] == "received" for d in documents)
    laptop.wait("it went by itself", received, 150)
    everything_arrived(laptop, outside, 1)


def test_a_wrong_clock(laptop, visit, outside, tmp_path):
    """A laptop whose battery was empty says 2020: recordings go on, nothing is sent under a certificate that isn't valid yet."""
    # Started anew, as after an empty battery: a connection that stands already isn't checked again.
    laptop.sh("systemctl stop ess-agent && date -s '2020-01-01 08:00:00' && systemctl start ess-agent")
    try:
        import_card(laptop, outside, tmp_path, 13)
        laptop.wait("it waits", lambda: waiting(laptop) > 0)
        laptop.wait("the agent says why", lambda: laptop.agent("status", "--json")["sync"].get("problem"), 150)
    finally:
        laptop.sh(f"date -s @{time.time():.0f}")
    everything_arrived(laptop, outside, 1)
    assert laptop.sh("systemctl show ess-agent -p NRestarts --value").strip() == "0"


def test_a_full_disk(laptop, visit, outside, tmp_path):
    """What is new is refused, nothing that was stored is lost, and it goes on when there is room again."""
    before = {r["id"] for r in laptop.agent("recordings", "--json")}
    laptop.sh("fallocate -l $(($(stat -f -c '%a*%S' /var) - 4194304)) /var/filler")
    laptop.wait("it knows that there is no room", lambda: laptop.agent("status", "--json").get("freeBytes", 1 << 40) < 64 << 20)
    laptop.plug_stick(outside.card(tmp_path, "full", "--number", 14), "full")
    place = laptop.wait("mounted", lambda: laptop.sh("findmnt -rn -o TARGET | grep ^/run/ess-media/")).split()[0]
    refused = laptop.sh(f"runuser -u nurse -- ess-agent import {place} --json; echo status $?", check=False)
    laptop.sh("rm /var/filler")
    assert {r["id"] for r in laptop.agent("recordings", "--json")} == before, refused
    assert "status 0" not in refused, refused
    view = laptop.agent("import", place, "--json")
    assert len(view["imported"]) == 1
    laptop.pull_stick("full")
    everything_arrived(laptop, outside, len(before) + 1)


def test_short_of_memory(laptop, visit, outside, tmp_path):
    """A laptop full of browser tabs: 64 MiB for the daemon."""
    laptop.sh("systemctl set-property --runtime ess-agent MemoryMax=64M MemorySwapMax=0")
    try:
        import_card(laptop, outside, tmp_path, 15, seconds=60)
        everything_arrived(laptop, outside, 1)
        assert laptop.sh("systemctl show ess-agent -p NRestarts --value").strip() == "0"
    finally:
        laptop.sh("systemctl set-property --runtime ess-agent MemoryMax=infinity", check=False)


def test_the_store_is_sound_and_nobody_is_named_in_the_journal(laptop, outside):
    laptop.agent("audit", "verify")
    patients = [v["patient"] for v in laptop.agent("visits", "--json")]
    journal = laptop.sh("journalctl -b --no-pager -o cat -u ess-agent")
    for patient in patients:
        for word in (patient["family"], *patient["given"], patient.get("ins")):
            assert not word or word not in journal
    names = " ".join(f"-e '{p['family']}'" for p in patients)
    readable = laptop.sh(f"grep -l -a -F -r {names} /var/lib/ess-agent", check=False)
    assert not readable.strip(), f"a patient's name is readable in {readable}"


@pytest.mark.skipif(not shutil.which("swtpm"), reason="swtpm isn't installed: no TPM to bind keys to")
def test_keys_bound_to_the_tpm(running, image, outside, tmp_path):
    """`setup` seals both keys to the chip: the service starts with them, again after a power cut, and on another machine not at all."""
    # One machine at a time; the next test that needs the other one boots it.
    running.cut_power()
    with machine.machine(tmp_path, image, tpm=tmp_path / "chip") as laptop:
        laptop.boot()
        # "-firmware": this machine has no EFI, which nothing here needs.
        assert {"+driver", "+system", "+subsystem"} <= set(laptop.sh("systemd-creds has-tpm2", check=False).split())
        # What the image brought in plain files is the administrator's to set up now.
        laptop.sh("systemctl stop ess-agent; sed -i '/^server/d; /^client/d' /etc/ess-agent/ess-agent.conf.d/50-test.conf")
        laptop.sh("mkdir /root/given && mv /etc/ess-agent/*.pem /etc/ess-agent/client.key /root/given/")
        laptop.sh(f"cd /root/given && ess-agent setup --server https://10.0.2.2:{outside.bench.port} --ca ca.pem --certificate client.pem "
                  "--key client.key --laptop ess-042 --with-key tpm2 && rm client.key && systemctl restart ess-agent")
        laptop.wait("visits came down under the sealed key", lambda: laptop.agent("visits", "--json"))
        assert laptop.sh("ls /var/lib/ess-agent/master.key 2>/dev/null", check=False) == "", "the key lies beside the database"
        laptop.sh("ess-agent setup --check")
        opened = laptop.sh("systemd-creds --name=master-key decrypt /etc/credstore.encrypted/ess-agent.master-key - | sha256sum")
        laptop.sh("sync")
        laptop.cut_power()
        laptop.boot()
        laptop.wait("the agent answers", lambda: laptop.agent("status", "--json"))
        assert laptop.sh("systemd-creds --name=master-key decrypt /etc/credstore.encrypted/ess-agent.master-key - | sha256sum") == opened
        laptop.cut_power()
        # The thief's machine: the same disk, another chip.
        laptop.tpm = tmp_path / "another-chip"
        laptop.boot()
        said = laptop.sh("systemd-creds --name=master-key decrypt /etc/credstore.encrypted/ess-agent.master-key - | wc -c", check=False)
        assert said.split()[-1] == "0", said
        assert laptop.sh("systemctl show ess-agent -p ExecMainStatus --value").strip() == "243", "it came up without its keys"
        assert laptop.sh("ls /var/lib/ess-agent/master.key 2>/dev/null", check=False) == "", "a new key was made for old recordings"
