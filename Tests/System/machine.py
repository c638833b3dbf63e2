"""A whole machine: Debian's kernel, systemd, udev and USB in QEMU's software emulation, with the packages installed by apt.

Nothing in the guest knows that it is tested but one root shell behind a virtio port. Devices are plugged in from outside: by QEMU's
monitor, or over USB/IP; the power is cut by killing QEMU.
"""

import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

import guest_tree
from guest_tree import CACHE, run

GUEST_PACKAGES = ["usbip", "sqlite3", "systemd-timesyncd", "libtss2-esys-3.0.2-0", "libtss2-rc0", "libtss2-tcti-device0"]
# What a laptop has that is asked for here; the rest of Debian's 4,000 modules only makes the image slow.
MODULES = [
    "drivers/usb", "drivers/hid", "drivers/input", "drivers/virtio", "drivers/block", "drivers/net/virtio_net.ko", "drivers/net/net_failover.ko", "drivers/scsi",
    "drivers/char", "drivers/base", "drivers/cdrom", "fs/fat", "fs/exfat", "fs/nls", "fs/ext4", "fs/jbd2", "fs/isofs", "fs/udf", "fs/configfs",
    "fs/mbcache.ko", "fs/fuse", "block", "lib", "crypto", "arch", "net/sched", "net/core", "net/802",
]
INITRD_MODULES = ["virtio_pci", "virtio_blk", "ext4"]

SHELL = r"""#!/bin/bash
# One line in: a number and a script in base64. One line out: the number, the status, the output in base64.
exec 3<>/dev/virtio-ports/ess.control
while IFS=' ' read -r -u 3 number script; do
    output=$(base64 -d <<<"$script" | bash 2>&1 | base64 -w0; exit "${PIPESTATUS[1]}")
    printf '%s %s %s\n' "$number" "$?" "$output" >&3
done
"""

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /modules/order); do /bin/busybox insmod /modules/$module; done
n=0
while [ ! -b /dev/vda ] && [ $n -lt 100 ]; do /bin/busybox usleep 50000; n=$((n + 1)); done
/bin/busybox mount -t ext4 -o rw /dev/vda /root || exec /bin/busybox sh
exec /bin/busybox switch_root /root /sbin/init
"""


def unavailable():
    """Why no such machine can be had here; None where it can."""
    for program in ("qemu-system-x86_64", "qemu-img", "mke2fs", "mkfs.vfat", "mcopy", "cpio", "depmod"):
        if not shutil.which(program):
            return f"{program} isn't installed"
    if not pathlib.Path("/bin/busybox").exists():
        return "busybox-static isn't installed"
    return guest_tree.unavailable(extra=GUEST_PACKAGES)


def kernel():
    """Debian's kernel, unpacked once: the directory that holds vmlinuz and lib/modules."""
    place = CACHE / "kernel"
    if not (place / "vmlinuz").exists():
        said = run("apt-cache", "depends", "linux-image-amd64")
        name = re.search(r"Depends: (linux-image-\d\S+)", said).group(1)
        fetched = CACHE / "fetched"
        shutil.rmtree(fetched, ignore_errors=True)
        fetched.mkdir(parents=True)
        run("apt-get", "download", "-qq", name, cwd=fetched)
        run("dpkg-deb", "-x", str(next(fetched.glob("*.deb"))), str(fetched))
        version = next((fetched / "lib/modules").iterdir()).name
        source = fetched / "lib/modules" / version
        target = fetched / "kept/lib/modules" / version
        for part in MODULES:
            if (source / "kernel" / part).exists():
                (target / "kernel" / part).parent.mkdir(parents=True, exist_ok=True)
                run("cp", "-a", str(source / "kernel" / part), str(target / "kernel" / part))
        for path in source.glob("modules.*"):
            shutil.copy(path, target)
        run("depmod", "-b", str(fetched / "kept"), version)
        shutil.copy(next((fetched / "boot").glob("vmlinuz-*")), fetched / "kept/vmlinuz")
        make_initrd(fetched / "kept", version)
        (fetched / "kept").rename(place)
        shutil.rmtree(fetched)
    return place


def make_initrd(place, version):
    """Just enough to mount the disk: Debian's kernel has virtio_blk and ext4 as modules."""
    tree = place / "initrd"
    (tree / "modules").mkdir(parents=True)
    (tree / "bin").mkdir()
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    order = []
    for module in INITRD_MODULES:
        for line in run("modprobe", "-d", str(place), "-S", version, "--show-depends", module).splitlines():
            if line.startswith("insmod") and line.split()[1] not in order:
                order.append(line.split()[1])
    # ext4's checksums ask for it by name at run time.
    order[:0] = [str(p) for p in place.glob("lib/modules/*/kernel/crypto/crc32c_generic.ko*")]
    names = [pathlib.Path(path).name for path in dict.fromkeys(order)]
    for path in order:
        shutil.copy(path, tree / "modules")
    (tree / "modules/order").write_text("\n".join(names))
    init = tree / "init"
    init.write_text(INIT)
    init.chmod(0o755)
    packed = subprocess.run("find . | cpio -o -H newc --quiet | gzip -1", shell=True, cwd=tree, capture_output=True, check=True).stdout
    (place / "initrd.gz").write_bytes(packed)


def make_image(scratch, settings, files=()):
    """A disk with the packages installed by apt, and what an administrator would add: a configuration, a nurse's account.

    `files` are (path of the host, path in the guest).
    """
    base = guest_tree.base_tree(GUEST_PACKAGES)
    image = scratch / "disk.raw"
    with guest_tree.overlay(base, scratch) as tree:
        debs = guest_tree.packages()
        tree.apt("install", *[tree.bring(path) for path in debs.values()])
        tree.run("useradd", "-m", "-G", "ess-agent", "nurse")
        run("cp", "-a", str(kernel() / "lib/modules"), str(tree.at("/usr/lib/")))
        tree.at("/etc/ess-agent/ess-agent.conf.d/50-test.conf").write_text(
            "".join(f"{key} = {value}\n" for key, value in settings.items()))
        for source, target in files:
            shutil.copy(source, tree.at(target))
            tree.run("chown", "root:ess-agent", target)
            tree.run("chmod", "0640", target)
        tree.at("/etc/fstab").write_text("/dev/vda / ext4 errors=remount-ro 0 1\n")
        tree.at("/etc/hostname").write_text("laptop\n")
        tree.at("/etc/systemd/network/10-wired.network").write_text("[Match]\nName=en*\n[Network]\nDHCP=yes\n")
        shell = tree.at("/usr/local/sbin/test-shell")
        shell.write_text(SHELL)
        shell.chmod(0o755)
        tree.at("/etc/systemd/system/test-shell.service").write_text(
            "[Unit]\nDefaultDependencies=no\nAfter=dev-virtio\\x2dports-ess.control.device\n"
            "Wants=dev-virtio\\x2dports-ess.control.device\n"
            "[Service]\nExecStart=/usr/local/sbin/test-shell\nRestart=always\nRestartSec=200ms\n[Install]\nWantedBy=sysinit.target\n")
        tree.run("systemctl", "enable", "test-shell.service", "systemd-networkd.service")
        tree.run("systemctl", "disable", "systemd-timesyncd.service")
        tree.run("systemctl", "mask", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer")
        tree.at("/usr/sbin/policy-rc.d").unlink()
        tree.run("apt-get", "clean")
        for deb in tree.at("/root").glob("*.deb"):
            deb.unlink()
        for place in ("dev", "proc"):
            run("umount", "-R", "-l", str(tree.at(place)))
        run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", str(tree.path), str(image), "6G")
    return image


class GuestFailed(AssertionError):
    pass


class Machine:
    """One laptop. `boot()` switches it on, `cut_power()` is what a dead battery does."""

    def __init__(self, scratch, image, memory=1024, tpm=None, logged=None):
        """`tpm` is the directory of a software TPM's state: another directory is another machine's chip.
        `logged` is the image of a second disk, of which every write and flush goes into a log beside it (`.log`)."""
        self.scratch, self.memory, self.tpm, self.logged = scratch, memory, tpm, logged
        self.disk = scratch / "disk.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image), "-F", "raw", str(self.disk))
        self.console = scratch / "console.log"
        self.process = self.control = self.monitor = self.tpm_process = None
        self.number = 0
        self.boots = 0

    # Power

    def boot(self, seconds=600):
        place = kernel()
        self.boots += 1
        paths = {name: self.scratch / f"{name}.{self.boots}" for name in ("control", "qmp")}
        command = [
            "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-smp", "2", "-cpu", "max", "-m", str(self.memory),
            "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{self.console}",
            "-kernel", str(place / "vmlinuz"), "-initrd", str(place / "initrd.gz"),
            "-append", "console=ttyS0 quiet tsc=unstable mitigations=off random.trust_cpu=on audit=0 systemd.show_status=0",
            "-drive", f"file={self.disk},if=none,id=disk0,format=qcow2,cache=writethrough,discard=unmap",
            "-device", "virtio-blk-pci,drive=disk0", "-device", "virtio-rng-pci",
            "-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,id=nic0",
            "-device", "qemu-xhci,id=xhci", "-device", "virtio-serial",
            "-chardev", f"socket,id=control,path={paths['control']},server=on,wait=off",
            "-device", "virtserialport,chardev=control,name=ess.control",
            "-qmp", f"unix:{paths['qmp']},server=on,wait=off",
            *self._start_tpm(), *self._logged_disk(),
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=open(self.scratch / "qemu.log", "ab"), stderr=subprocess.STDOUT)
        try:
            self.control = self._connect(paths["control"])
            self.monitor = self._connect(paths["qmp"])
            self._reply(self.monitor, 10)
            self.qmp("qmp_capabilities")
            end = time.monotonic() + seconds
            while True:
                try:
                    self.sh("true", seconds=5)
                    break
                except (TimeoutError, GuestFailed) as error:
                    if time.monotonic() > end or self.process.poll() is not None:
                        raise GuestFailed(f"no boot within {seconds} s: {error}\n{self.console.read_text(errors='replace')[-3000:]}")
            self.sh("systemctl is-system-running --wait || true", seconds=seconds)
        except BaseException:
            self.cut_power()
            raise
        return self

    def cut_power(self):
        """SIGKILL: nothing is flushed that the guest's disk had not taken."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
        for channel in (self.control, self.monitor):
            if channel:
                channel.close()
        self.control = self.monitor = None
        if self.tpm_process:
            # It ends by itself with its machine.
            try:
                self.tpm_process.wait(5)
            except subprocess.TimeoutExpired:
                self.tpm_process.kill()
                self.tpm_process.wait()
            self.tpm_process = None

    def _start_tpm(self):
        """Starts the software TPM, if there is to be one; returns QEMU's arguments for it."""
        if not self.tpm:
            return []
        self.tpm.mkdir(exist_ok=True)
        path = self.scratch / f"tpm.{self.boots}"
        self.tpm_process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.tpm}", "--ctrl", f"type=unixio,path={path}", "--terminate"],
            stdin=subprocess.DEVNULL, stdout=open(self.scratch / "tpm.log", "ab"), stderr=subprocess.STDOUT)
        end = time.monotonic() + 20
        while not path.exists():
            if time.monotonic() > end or self.tpm_process.poll() is not None:
                raise GuestFailed(f"no TPM: {(self.scratch / 'tpm.log').read_text()[-2000:]}")
            time.sleep(0.05)
        return ["-chardev", f"socket,id=tpm,path={path}", "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm0"]

    def _logged_disk(self):
        if not self.logged:
            return []
        log = self.logged.with_suffix(".log")
        log.write_bytes(b"")
        node = {"driver": "blklogwrites", "node-name": "logged", "log-sector-size": 512, "file": {"driver": "file", "filename": str(self.logged)},
                "log": {"driver": "file", "filename": str(log)}}
        return ["-blockdev", json.dumps(node), "-device", "virtio-blk-pci,drive=logged,id=logged-disk"]

    def _connect(self, path):
        end = time.monotonic() + 20
        while True:
            channel = socket.socket(socket.AF_UNIX)
            try:
                channel.connect(str(path))
                return Channel(channel)
            except OSError:
                channel.close()
                if time.monotonic() > end or self.process.poll() is not None:
                    raise GuestFailed((self.scratch / "qemu.log").read_text()[-2000:])
                time.sleep(0.05)

    # Inside

    def sh(self, script, seconds=120, check=True):
        """Runs a script as root in the guest. Returns its output; fails when it fails."""
        self.number += 1
        self.control.send(f"{self.number} {base64.b64encode(script.encode()).decode()}\n".encode())
        while True:
            words = self._reply(self.control, seconds).decode(errors="replace").split()
            # Answers to questions that were given up come late.
            if len(words) >= 2 and words[0] == str(self.number):
                break
        output = base64.b64decode(words[2]).decode(errors="replace") if len(words) > 2 else ""
        if check and words[1] != "0":
            raise GuestFailed(f"{script}: {words[1]}\n{output}")
        return output

    def agent(self, *arguments, check=True, seconds=120):
        """`ess-agent …` as the nurse. JSON when --json is among the arguments."""
        line = " ".join("'" + str(a).replace("'", "'\\''") + "'" for a in arguments)
        output = self.sh(f"runuser -u nurse -- ess-agent {line}", seconds=seconds, check=check)
        return json.loads(output) if "--json" in arguments and check else output

    def wait(self, what, check, seconds=90):
        """Polls until `check` says something true; a deadline, no assumption about speed."""
        end, last = time.monotonic() + seconds, None
        while time.monotonic() < end:
            try:
                last = check()
                if last:
                    return last
            except GuestFailed as error:
                last = str(error)
            time.sleep(0.2)
        journal = self.sh(
            "systemctl status --no-pager ess-agent; journalctl -b --no-pager -n 40 -o short-monotonic _TRANSPORT=kernel "
            "+ _SYSTEMD_UNIT=ess-agent.service + _SYSTEMD_UNIT=init.scope; lsusb; ls /dev/ttyUSB* /dev/sd*", check=False)
        raise GuestFailed(f"{what}: not within {seconds} s; last seen: {last!r}\n{journal}")

    # Outside

    def qmp(self, command, **arguments):
        self.monitor.send(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self._reply(self.monitor, 30))
            if "event" in answer:
                continue
            if "error" in answer:
                raise GuestFailed(f"{command}: {answer['error']}")
            return answer["return"]

    def _reply(self, channel, seconds):
        return channel.line(seconds)

    def plug_stick(self, image, name="stick"):
        """A FAT image as a USB stick."""
        self._add_drive(name, image)
        self.qmp("device_add", driver="usb-storage", id=f"{name}-usb", drive=name, bus="xhci.0", removable=True)

    def pull_stick(self, name="stick"):
        self.qmp("device_del", id=f"{name}-usb")
        self._drop_drive(name)

    def _add_drive(self, node, image):
        self.qmp("blockdev-add", **{"node-name": node, "driver": "raw", "read-only": False,
                                    "file": {"driver": "file", "filename": str(image)}})

    def _drop_drive(self, node):
        # It is let go when the guest has.
        for _ in range(100):
            try:
                return self.qmp("blockdev-del", **{"node-name": node})
            except GuestFailed:
                time.sleep(0.1)
        raise GuestFailed(f"{node} is still in use")

    def plug_reader(self, name="reader"):
        """A card reader or a drive for discs; what is in it comes and goes with `insert` and `eject`. QEMU's wants a medium to begin with."""
        self.qmp("device_add", driver="usb-bot", id=f"{name}-usb", bus="xhci.0")

    def insert(self, image, medium, name="reader", kind="scsi-hd"):
        """`kind` is `scsi-cd` for a drive."""
        self._add_drive(medium, image)
        slot = f"{name}-slot"
        if any(d.get("qdev", "").endswith(slot) for d in self.qmp("query-block")):
            self.qmp("blockdev-insert-medium", id=slot, **{"node-name": medium})
            self.qmp("blockdev-close-tray", id=slot)
        else:
            options = {"removable": True} if kind == "scsi-hd" else {}
            self.qmp("device_add", driver=kind, id=slot, bus=f"{name}-usb.0", drive=medium, **options)
            self.qmp("qom-set", path=f"/machine/peripheral/{name}-usb", property="attached", value=True)

    def eject(self, medium, name="reader", by_force=True):
        """Without force it is the button of a drive that the guest has locked: the guest is asked, and opens it."""
        slot = f"{name}-slot"
        if by_force:
            self.qmp("blockdev-open-tray", id=slot, force=True)
        else:
            try:
                self.qmp("blockdev-open-tray", id=slot, force=False)
            except GuestFailed as failure:
                if "locked" not in str(failure):
                    raise
            self.wait("the drive opens", lambda: any(
                d.get("qdev", "").endswith(slot) and d.get("tray_open") for d in self.qmp("query-block")))
        self.qmp("blockdev-remove-medium", id=slot)
        self.qmp("blockdev-del", **{"node-name": medium})

    def pull_reader(self, medium, name="reader"):
        self.qmp("device_del", id=f"{name}-usb")
        self._drop_drive(medium)

    def plug_serial(self, path, name="ftdi"):
        """A serial bridge of FTDI's, with a socket of the host as its far end."""
        self.qmp("chardev-add", id=name, backend={"type": "socket", "data": {
            "addr": {"type": "unix", "data": {"path": str(path)}}, "server": False}})
        self.qmp("device_add", driver="usb-serial", id=f"{name}-usb", chardev=name, bus="xhci.0")

    def pull_serial(self, name="ftdi"):
        self.qmp("device_del", id=f"{name}-usb")
        for _ in range(100):
            try:
                return self.qmp("chardev-remove", id=name)
            except GuestFailed:
                time.sleep(0.1)
        raise GuestFailed(f"{name} is still in use")

    def pull(self, name):
        self.qmp("device_del", id=f"{name}-usb")

    def attach(self, port, bus_id):
        """Plugs in a device that a USB/IP server of the host plays."""
        self.sh(f"modprobe vhci-hcd && usbip --tcp-port {port} attach -r 10.0.2.2 -b {bus_id}")

    def detach_all(self):
        self.sh("for p in 00 01 02 03 04 05 06 07; do usbip detach -p $p || true; done", check=False)

    def link(self, up):
        """The network cable (or the radio)."""
        self.qmp("set_link", name="nic0", up=up)


class Channel:
    """Lines over a socket, with a deadline."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def send(self, data):
        self.sock.sendall(data)

    def line(self, seconds):
        end = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            self.sock.settimeout(max(0.01, end - time.monotonic()))
            data = self.sock.recv(1 << 16)
            if not data:
                raise GuestFailed("the guest's channel closed")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def close(self):
        self.sock.close()


@contextlib.contextmanager
def machine(scratch, image, **options):
    made = Machine(scratch, image, **options)
    try:
        yield made
    finally:
        made.cut_power()
