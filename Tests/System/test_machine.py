"""The whole way on a whole machine: real kernel, udev, systemd and USB; packages installed by apt; faults from outside.

At the end of each scenario the server outside must hold each recording that the laptop had reported as stored: once, with its hash, for
its patient. `make test-system` runs it (about 15 minutes).
"""

import pathlib
import re
import shutil
import time

import field
import guest_tree
import machine
import pytest
from field import device, everything_arrived, import_card, kept_samples, live_ecg, recording, waiting


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
    # What is written into every recording can be had from within: this boot's name, and whether the clock follows NTP; and the routes.
    def report():
        return laptop.sh("cd /tmp && rm -f r.tar && runuser -u nurse -- ess-agent report r.tar && tar -xOf r.tar")
    assert laptop.sh("cat /proc/sys/kernel/random/boot_id").strip() in report()
    # On this slow machine timedated takes its time to start.
    laptop.wait("it knows of the clock", lambda: re.search(r'"clockSynchronised" *: *(true|false)', report()))
    assert "thread priority" not in laptop.sh("journalctl -b --no-pager -o cat -u ess-agent")
    assert laptop.sh(f"nsenter -m -t {show['MainPID']} cat /proc/net/route").startswith("Iface")
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


def test_a_card_is_exchanged_in_a_reader(laptop, visit, outside, tmp_path):
    """The reader stays plugged in, and the first patient's files stay in the cache: what is shown and copied is the second one's."""
    first = outside.card(tmp_path, "first", "--number", 21, "--seconds", 10)
    second = outside.card(tmp_path, "second", "--number", 22, "--seconds", 20)

    def shown():
        found = [m for m in laptop.agent("media", "--json") if m["state"] == "ready"]
        return {m["label"]: m["found"]["bytes"] for m in found}
    laptop.plug_reader()
    arrived = []
    # With partitions, and without; taken out and put in, and so fast that the reader only says that it isn't the same one.
    for step, (kind, slowly) in enumerate([(outside.partitioned, True), (outside.partitioned, False), (lambda image: image, False)]):
        names = f"first{step}", f"second{step}"
        if step == 0:
            laptop.insert(kind(first), names[0])
        else:
            laptop.eject(f"second{step - 1}")
            laptop.insert(kind(first), names[0])
        label, size = laptop.wait("the first is shown", lambda: next(iter(shown().items()), None) if len(shown()) == 1 else None, 150)
        assert label[-1].isdigit() == (kind == outside.partitioned)
        laptop.eject(names[0])
        if slowly:
            laptop.wait("nothing is shown", lambda: not shown() and not laptop.sh("ls /run/ess-media").strip(), 150)
        laptop.insert(kind(second), names[1])
        laptop.wait("the second is shown", lambda: shown().get(label, 0) > size, 150)
        if step == 0:
            arrived = laptop.agent("import", f"/run/ess-media/{label}", "--json", seconds=200)["imported"]
            assert len(arrived) == 1
    laptop.pull_reader("second2")
    laptop.wait("unmounted", lambda: not laptop.sh("ls /run/ess-media").strip())
    assert laptop.sh("systemctl --failed --no-legend --plain").strip() == ""
    assert laptop.sh("losetup -a").strip() == ""
    kept = recording(laptop, arrived[0])
    assert kept["visit"] == visit and laptop.agent("recording", arrived[0], "--json")["channels"][0]["samples"] >= 20 * 400
    everything_arrived(laptop, outside, 1)


def test_a_disc_is_exchanged_in_a_drive(laptop, visit, outside, tmp_path):
    """A mounted disc locks its drive. The drive's button opens it all the same, and the next disc is not taken for the last one."""
    first = outside.disc(tmp_path, "first", "--number", 23, "--seconds", 10)
    second = outside.disc(tmp_path, "second", "--number", 24, "--seconds", 20)

    def shown():
        return [m["found"]["bytes"] for m in laptop.agent("media", "--json") if m["state"] == "ready"]
    laptop.plug_reader("drive")
    laptop.insert(first, "disc0", "drive", "scsi-cd")
    small = laptop.wait("the first is shown", lambda: shown() if len(shown()) == 1 else None, 150)[0]
    options = laptop.sh("findmnt -rn -o OPTIONS,TARGET | grep /run/ess-media/sr").split()[0].split(",")
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(options)
    laptop.eject("disc0", "drive", by_force=False)
    laptop.wait("nothing is shown", lambda: not shown() and not laptop.sh("ls /run/ess-media").strip(), 150)
    laptop.insert(second, "disc1", "drive")
    laptop.wait("the second is shown", lambda: max(shown(), default=0) > small, 150)
    place = laptop.sh("findmnt -rn -o TARGET | grep /run/ess-media/sr").strip()
    arrived = laptop.agent("import", place, "--json", seconds=200)["imported"]
    assert len(arrived) == 1 and recording(laptop, arrived[0])["visit"] == visit
    # So fast that the drive only says that it isn't the same one.
    laptop.eject("disc1", "drive")
    laptop.insert(first, "disc2", "drive")
    laptop.wait("the first is shown again", lambda: shown() == [small], 150)
    laptop.pull_reader("disc2", "drive")
    laptop.wait("unmounted", lambda: not laptop.sh("ls /run/ess-media").strip())
    assert laptop.sh("systemctl --failed --no-legend --plain").strip() == ""
    everything_arrived(laptop, outside, 1)


def test_a_damaged_stick_stops_no_laptop(laptop, tmp_path):
    """A file system may say of itself that the machine is to stop when it is damaged. This one does, and is."""
    image, content = tmp_path / "panic.img", tmp_path / "content"
    (content / "folder").mkdir(parents=True)
    (content / "file.txt").write_text("whole")
    guest_tree.run("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum", "-d", str(content), str(image), "8M")
    guest_tree.run("tune2fs", "-e", "panic", str(image))
    block = int(guest_tree.run("debugfs", "-R", "blocks /folder", str(image)).split()[0])
    with open(image, "r+b") as file:
        file.seek(block * 1024)
        file.write(b"\xff" * 1024)
    laptop.plug_stick(image, "panic")
    place = laptop.wait("mounted", lambda: laptop.sh("findmnt -rn -o TARGET | grep ^/run/ess-media/")).split()[0]
    assert laptop.sh(f"cat {place}/file.txt") == "whole"
    laptop.sh(f"ls {place}/folder", check=False)
    assert "EXT4-fs error" in laptop.sh("journalctl -k -b --no-pager"), "nothing was damaged"
    laptop.pull_stick("panic")
    laptop.wait("unmounted", lambda: not laptop.sh(f"findmnt -rn {place}", check=False).strip())


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


GADGET = r"""
modprobe dummy_hcd && modprobe libcomposite
mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
cd /sys/kernel/config/usb_gadget && mkdir -p ecg && cd ecg
echo 0x0483 > idVendor; echo 0x5750 > idProduct
mkdir -p strings/0x409 configs/c.1 functions/hid.usb0
echo STMicroelectronics > strings/0x409/manufacturer; echo ECG90A > strings/0x409/product; echo SIM0001 > strings/0x409/serialnumber
echo 64 > functions/hid.usb0/report_length
printf '\x06\x00\xff\x09\x01\xa1\x01\x15\x00\x26\xff\x00\x75\x08\x95\x40\x09\x01\x81\x02\x95\x08\x09\x01\x91\x02\xc0' \
    > functions/hid.usb0/report_desc
ln -s "$PWD/functions/hid.usb0" configs/c.1/
echo dummy_udc.0 > UDC
systemd-run -q --unit ecg-gadget ess-sim play contec-ecg90a --on /dev/hidg0
"""


def test_pulled_out_in_a_live_ecg_of_a_gadget(laptop, visit, outside):
    """Another host controller than USB/IP's: the electrocardiograph is a HID gadget behind dummy_hcd, in the laptop's own kernel."""
    laptop.sh(GADGET)
    try:
        found = device(laptop, "contec-ecg90a")
        assert "dummy_hcd" in laptop.sh("readlink -f /sys/bus/usb/devices/usb*/*-1 | grep dummy_hcd", check=False)
        laptop.agent("start", found["name"])
        open_one = laptop.wait("something is stored", lambda: r if (r := field.session(laptop, found["name"])) and r["samples"] >= 400 else None)
        laptop.sh("echo > /sys/kernel/config/usb_gadget/ecg/UDC")
        rid = open_one["recording"]
        kept = laptop.wait("sealed", lambda: r if (r := recording(laptop, rid))["state"] != "open" else None)
        assert kept["state"] == "interrupted" and kept_samples(laptop, rid) >= open_one["samples"]
    finally:
        laptop.sh("systemctl stop ecg-gadget; echo > /sys/kernel/config/usb_gadget/ecg/UDC; modprobe -r usb_f_hid dummy_hcd", check=False)
    everything_arrived(laptop, outside, 1)


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


def test_a_disk_that_is_full_at_the_start(laptop):
    """However often it was tried in vain: when there is room again, it comes up."""
    laptop.sh("mkdir -p /run/systemd/system/ess-agent.service.d && printf '[Service]\\nRestartSec=100ms\\n' "
              "> /run/systemd/system/ess-agent.service.d/fast.conf && systemctl daemon-reload && systemctl stop ess-agent")
    try:
        laptop.sh("fallocate -l $(($(stat -f -c '%f*%S' /var) - 1048576)) /var/filler; dd if=/dev/zero of=/var/filler2 bs=4096 2>/dev/null; "
                  "systemctl start ess-agent", check=False)
        laptop.wait("it was tried a dozen times",
                    lambda: int(laptop.sh("systemctl show ess-agent -p NRestarts --value")) >= 12, 300)
    finally:
        laptop.sh("rm -f /var/filler /var/filler2; rm -r /run/systemd/system/ess-agent.service.d; systemctl daemon-reload")
    laptop.wait("the agent answers", lambda: laptop.agent("status", "--json"))


def test_short_of_memory(laptop, visit, outside, tmp_path):
    """A laptop full of browser tabs: 64 MiB for the daemon."""
    def restarts():
        return laptop.sh("systemctl show ess-agent -p NRestarts --value").strip()
    laptop.sh("systemctl set-property --runtime ess-agent MemoryMax=64M MemorySwapMax=0")
    before = restarts()
    try:
        import_card(laptop, outside, tmp_path, 15, seconds=60)
        everything_arrived(laptop, outside, 1)
        assert restarts() == before
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


# TPM2_PCR_Extend, spoken directly: the guest has no program for it.
EXTEND_REGISTER_7 = r"""
exec 3<>/dev/tpmrm0
printf '\x80\x02\0\0\0\x41\0\0\x01\x82\0\0\0\x07\0\0\0\x09\x40\0\0\x09\0\0\0\0\0\0\0\0\x01\0\x0b' > /tmp/extend
printf '%032d' 1 >> /tmp/extend
dd if=/tmp/extend bs=65 count=1 >&3 2>/dev/null
dd bs=4096 count=1 <&3 2>/dev/null | od -An -tx1
"""


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
        # A run that had come as far as the files; and again, when all is as it is to be.
        laptop.sh("touch /etc/ess-agent/ess-agent.conf.d/10-setup.conf")
        assert "restarted" in laptop.sh("ess-agent setup --with-key tpm2")
        assert "Nothing to do" in laptop.sh("ess-agent setup --with-key tpm2")
        # A service that doesn't come up isn't passed over.
        laptop.sh("echo 'nonsense = 1' > /etc/ess-agent/ess-agent.conf.d/99-nonsense.conf")
        said = laptop.sh("ess-agent setup --with-key tpm2 --laptop ess-043; echo status $?", check=False)
        assert "doesn't start" in said and "status 0" not in said, said
        laptop.sh("rm /etc/ess-agent/ess-agent.conf.d/99-nonsense.conf")
        assert "restarted" in laptop.sh("ess-agent setup --with-key tpm2")
        # What an update of Secure Boot's lists does to the chip's register 7.
        assert laptop.sh(EXTEND_REGISTER_7).split()[:2] == ["80", "02"]
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
