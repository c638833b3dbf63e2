"""The shortest whole machine: an oximeter behind a serial cable of a make that the package doesn't know, and a power cut while it records.

`make test` boots this one on the debug build's packages; `make test-system` has all the others (test_machine.py).
"""

from field import device, everything_arrived, kept_samples, recording, session

# What docs/administrator.md tells an administrator to write for such a cable.
RULE = """SUBSYSTEM=="tty", ENV{ID_VENDOR_ID}=="0403", ENV{ID_MODEL_ID}=="6001", GROUP="ess-agent", MODE="0660", SYMLINK+="ess-oximeter", \\
    ENV{ID_MM_DEVICE_IGNORE}="1", TAG+="systemd", ENV{SYSTEMD_WANTS}+="ess-agent.service"
"""
PORT = "port = /dev/ess-oximeter contec-oximeter\n"


def test_a_power_cut_in_a_recording_behind_an_ftdi_cable(laptop, visit, outside, tmp_path):
    cable = outside.serial_cable(tmp_path, "--live")
    laptop.plug_serial(cable.path)
    node = laptop.wait("the kernel has it", lambda: laptop.sh("ls /dev/ttyUSB* 2>/dev/null", check=False).split())[0]
    properties = laptop.sh(f"udevadm settle; udevadm info -q property {node}").splitlines()
    assert "ID_VENDOR_ID=0403" in properties and "ID_USB_DRIVER=ftdi_sio" in properties
    # A stranger's cable: nobody of ours may even open it.
    assert laptop.sh(f"stat -L -c %G {node}").strip() == "dialout" and not laptop.agent("devices", "--json")

    laptop.sh(f"cat > /etc/udev/rules.d/80-oximeter.rules <<'END'\n{RULE}END\n"
              f"echo '{PORT.strip()}' > /etc/ess-agent/ess-agent.conf.d/60-oximeter.conf\n"
              f"udevadm control --reload && udevadm trigger --action=add {node} && udevadm settle && sync && systemctl restart ess-agent")
    name = device(laptop, "contec-oximeter")["name"]
    laptop.agent("start", name)
    stored = laptop.wait("three seconds are stored", lambda: r if (r := session(laptop, name)) and r["samples"] >= 180 else None)
    laptop.cut_power()

    laptop.boot()
    laptop.wait("the agent answers", lambda: laptop.agent("status", "--json"))
    rid = stored["recording"]
    assert kept_samples(laptop, rid) >= stored["samples"], "what was reported as stored is gone"
    kept = recording(laptop, rid)
    assert (kept["state"], kept["visit"]) == ("interrupted", visit)
    everything_arrived(laptop, outside, 1)

    # Plugged in again it goes on by itself.
    laptop.plug_serial(cable.path)
    device(laptop, "contec-oximeter")
    laptop.pull_serial()
    laptop.wait("it is gone", lambda: not laptop.agent("devices", "--json"))
    laptop.sh("rm /etc/udev/rules.d/80-oximeter.rules /etc/ess-agent/ess-agent.conf.d/60-oximeter.conf && udevadm control --reload && "
              "systemctl restart ess-agent")
    cable.close()
