"""What is around the laptop in the scenarios: the centre's server, devices; and what a nurse does again and again."""

import os
import select
import socket
import struct
import subprocess
import threading

import bench
import guest_tree


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

    def serial_cable(self, scratch, *options):
        """A cable with an oximeter at its far end; `Machine.plug_serial` takes its near one."""
        program = subprocess.Popen([bench.BIN / "ess-sim", "oximeter", *options], stdout=subprocess.PIPE, text=True)
        self.bench.programs.append(PlainProgram(program))
        return SerialCable(scratch / "cable", program.stdout.readline().strip())

    def card(self, scratch, name, *options):
        """A FAT image with an ECG card's files."""
        tree = self.bench.make_card(*map(str, options))
        image = scratch / f"{name}.img"
        guest_tree.run("mkfs.vfat", "-C", "-n", "ECG", str(image), "32768")
        guest_tree.run("mcopy", "-s", "-i", str(image), *[str(p) for p in sorted(tree.iterdir())], "::/")
        return image

    def disc(self, scratch, name, *options):
        """A CD with the same."""
        image = scratch / f"{name}.iso"
        tree = self.bench.make_card(*map(str, options))
        guest_tree.run("xorriso", "-as", "mkisofs", "-quiet", "-J", "-R", "-V", "ECG", "-o", str(image), str(tree))
        return image

    def partitioned(self, image):
        """The same as the first partition of a card, as cameras and recorders make them."""
        content, start = image.read_bytes(), 2048
        entry = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", 0x0C, b"\xfe\xff\xff", start, len(content) // 512)
        card = image.with_suffix(".card")
        card.write_bytes(bytes(446) + entry + bytes(48) + b"\x55\xaa" + bytes((start - 1) * 512) + content)
        return card

    def close(self):
        self.bench.close()


class SerialCable:
    """Carries bytes between QEMU's serial bridge and a terminal, each time that QEMU connects anew."""

    def __init__(self, path, terminal):
        self.path, self.terminal = path, terminal
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        threading.Thread(target=self._carry, daemon=True).start()

    def _carry(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = os.open(self.terminal, os.O_RDWR | os.O_NOCTTY)
            try:
                while True:
                    ready, _, _ = select.select([near, far], [], [])
                    if near in ready:
                        data = near.recv(4096)
                        if not data:
                            break
                        os.write(far, data)
                    if far in ready:
                        near.sendall(os.read(far, 4096))
            except OSError:
                pass
            finally:
                os.close(far)
                near.close()

    def close(self):
        self.listener.close()


class PlainProgram:
    def __init__(self, process):
        self.process = process

    def kill(self):
        self.process.kill()
        self.process.wait()


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


def session(laptop, name):
    """The open recording of a device's session, with how many samples it has safely; None without one."""
    found = next((d for d in laptop.agent("devices", "--json") if d["name"] == name), {}).get("session")
    return found["recordings"][0] if found and found["recordings"] else None


def live_ecg(laptop, outside):
    """A running live capture of a simulated electrocardiograph: its id, and a way to ask how many samples a channel has safely."""
    port, ids = outside.usb("contec-ecg90a")
    laptop.attach(port, ids[0])
    name = device(laptop, "contec-ecg90a")["name"]
    laptop.agent("start", name)
    rid = laptop.wait("a recording is open", lambda: session(laptop, name))["recording"]

    def safe():
        return (session(laptop, name) or {}).get("samples", 0)
    return rid, safe


def recording(laptop, rid):
    return next(r for r in laptop.agent("recordings", "--json") if r["id"] == rid)


def kept_samples(laptop, rid):
    return min(channel["samples"] for channel in laptop.agent("recording", rid, "--json")["channels"])


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
