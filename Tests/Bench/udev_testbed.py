#!/usr/bin/python3
"""Runs a program in a world where USB serial devices can be plugged in and pulled: umockdev's test bed.

Needs the Debian packages umockdev, gir1.2-umockdev-1.0 and python3-gi. No root, no kernel USB. It preloads umockdev
itself (it runs again under `umockdev-wrapper` when necessary); the program inherits that.

    udev_testbed.py [--wait] [--stay] [--output FILE] -- PROGRAM [ARGUMENT…]

Commands come on standard input, one a line; each is answered on standard output by one line, `ok …` or `error …`:

    start                                      starts the program, answers `ok PID`; only with --wait (devices can be there
                                               before it) and --stay (again, after it ended)
    add NAME PTY VENDOR PRODUCT SERIAL [MODEL [SOCKET]]
                                               plugs a device in: a USB device with a tty named NAME; answers `ok SYSPATH`
    remove NAME                                pulls it out; answers `ok SYSPATH`
    usb NAME VENDOR PRODUCT SERIAL             plugs in a USB device that answers (usb_device.py); answers `ok SYSPATH NODE`
    plug NAME ADDRESS PORT BUSID [ARRANGEMENT]  plugs in a device of a USB/IP server (usbip_device.py), its interface where
                                               the arrangement has it; answers `ok SYSPATH NODE`
    unplug NAME                                pulls it out, transfers pending or not; answers `ok SYSPATH`
    seen NAME                                  what the device has noticed since the last time
    change NAME                                sends a "change" event
    kill                                       sends SIGKILL to the program
    quit                                       sends SIGTERM to the program and waits for it

For instance `add ttyUSB7 /dev/pts/4 10c4 ea60 SIM0001 CP2102_USB_to_UART_Bridge_Controller`.

The first line on standard output is `ok ready`. When the program has ended, the last line is `exit STATUS`, and STATUS
is this script's own exit status (128 + signal when a signal ended it). End of input counts as `quit`. What the
program writes goes to standard error, or to FILE. With --stay the script goes on after the program's end: it says
`exited STATUS` and takes `start` again, with the devices as they are, until `quit`.

How the program reaches the device: udev tells it the node /dev/NAME. In the test bed that is a symbolic link to PTY, the
slave side of a pty whose master the simulator holds, so an ordinary open(2) of /dev/NAME in the program (the preload
sends it to the test bed) ends at the real pty. The link is removed with the device; close the master as well to hang
the line up, as a pulled cable does.

Limits, all umockdev's: one program per test bed that listens to events; no udev rules are run, so the properties are
the ones set here; a removal still carries its properties (a real one may not).
"""

import argparse
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import threading


def under_umockdev():
    """True when the preload is active in this very process."""
    return hasattr(ctypes.CDLL(None), "umockdev_in_mock_environment") or "libumockdev-preload" in os.environ.get(
        "LD_PRELOAD", ""
    )


if not under_umockdev():
    os.execvp("umockdev-wrapper", ["umockdev-wrapper", sys.executable, *sys.argv])

import gi  # noqa: E402

gi.require_version("UMockdev", "1.0")
from gi.repository import GLib, UMockdev  # noqa: E402

import usb_device  # noqa: E402
import usbip_device  # noqa: E402


class Bench:
    def __init__(self, command, output):
        self.bed = UMockdev.Testbed.new()
        self.root = self.bed.get_root_dir()
        os.makedirs(os.path.join(self.root, "dev"), exist_ok=True)
        # umockdev answers every ioctl with ENOTTY unless a handler lets it pass to the real pty.
        self.passing = UMockdev.IoctlBase()
        self.passing.connect("handle-ioctl", self.pass_on)
        threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
        self.command = command
        self.output = output
        self.program = None
        self.devices = {}
        self.usb_devices = {}
        self.plugged = 0

    @staticmethod
    def pass_on(_, client):
        client.complete(-100, 0)
        return True

    def start(self):
        if self.program:
            raise ValueError("the program runs already")
        # Left behind by one that was killed.
        for name in os.listdir(self.root):
            if name.startswith("event"):
                os.unlink(os.path.join(self.root, name))
        environment = dict(os.environ, UMOCKDEV_DIR=self.root)
        output = open(self.output, "ab") if self.output else sys.stderr
        self.program = subprocess.Popen(
            self.command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        return str(self.program.pid)

    def add(self, name, pty, vendor, product, serial, model="USB_Serial", socket=None):
        if name in self.devices or "/" in name:
            raise ValueError(f"{name} is there already, or no plain name")
        if not os.path.exists(pty):
            raise ValueError(f"{pty} does not exist")
        self.plugged += 1
        number = str(self.plugged)
        link = os.path.join(self.root, "dev", name)
        usb = self.bed.add_device(
            "usb",
            f"1-{number}",
            None,
            [
                *("idVendor", vendor, "idProduct", product, "serial", serial, "product", model.replace("_", " ")),
                *("busnum", "1", "devnum", number),
            ],
            ["DEVTYPE", "usb_device", "ID_VENDOR_ID", vendor, "ID_MODEL_ID", product, "ID_SERIAL_SHORT", serial],
        )
        tty = self.bed.add_device(
            "tty",
            name,
            usb,
            [],
            [
                *("ID_BUS", "usb", "ID_VENDOR_ID", vendor, "ID_MODEL_ID", product),
                *("ID_SERIAL_SHORT", serial, "ID_MODEL", model, "ID_PATH", f"platform-bench-usb-0:{socket or number}:1.0"),
            ],
        )
        # Adding sends an event by itself; the device only gets its node's name when the node is there to be opened.
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(pty, link)
        self.bed.attach_ioctl(f"/dev/{name}", self.passing)
        self.bed.set_property(tty, "DEVNAME", f"/dev/{name}")
        self.devices[name] = (tty, usb, link)
        self.bed.uevent(tty, "add")
        return tty

    def remove(self, name):
        tty, usb, link = self.devices.pop(name)
        os.unlink(link)
        self.bed.detach_ioctl(f"/dev/{name}")
        self.bed.uevent(tty, "remove")
        self.bed.remove_device(tty)
        self.bed.remove_device(usb)
        return tty

    def usb(self, name, vendor, product, serial):
        if name in self.usb_devices:
            raise ValueError(f"{name} is there already")
        self.plugged += 1
        path, node, device = usb_device.plug(self.bed, self.root, 100 + self.plugged, vendor, product, serial)
        self.usb_devices[name] = (path, node, device)
        self.bed.uevent(path, "add")
        return f"{path} {node}"

    def plug(self, name, address, port, bus_id, arrangement=None):
        if name in self.usb_devices:
            raise ValueError(f"{name} is there already")
        self.plugged += 1
        path, node, device = usbip_device.plug(self.bed, self.root, 100 + self.plugged, address, port, bus_id, arrangement)
        self.usb_devices[name] = (path, node, device)
        self.bed.uevent(path, "add")
        return f"{path} {node}"

    def unplug(self, name):
        path, node, device = self.usb_devices.pop(name)
        device.pull()
        self.bed.uevent(path, "remove")
        os.unlink(self.root + node)
        self.bed.remove_device(path)
        return path

    def seen(self, name):
        return self.usb_devices[name][2].seen()

    def change(self, name):
        tty = self.devices[name][0]
        self.bed.uevent(tty, "change")
        return tty

    def kill(self):
        if not self.program:
            raise ValueError("the program does not run")
        self.program.kill()
        return ""

    def status(self):
        code = self.program.returncode if self.program else 0
        return 128 - code if code < 0 else code

    def quit(self):
        if self.program and self.program.poll() is None:
            self.program.send_signal(signal.SIGTERM)
            self.program.wait()
        return ""

    def obey(self, line):
        words = line.split()
        verbs = {"start": self.start, "add": self.add, "remove": self.remove, "change": self.change}
        verbs |= {"plug": self.plug, "usb": self.usb, "unplug": self.unplug, "seen": self.seen}
        verbs |= {"kill": self.kill, "quit": self.quit}
        if not words or words[0] not in verbs:
            return f"error unknown command, known are: {' '.join(verbs)}"
        try:
            return f"ok {verbs[words[0]](*words[1:])}".rstrip()
        except KeyError as error:
            return f"error no device {error}"
        except (TypeError, ValueError, OSError) as error:
            return f"error {error}".replace("\n", " ")


def say(text):
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(usage="udev_testbed.py [--wait] [--stay] [--output FILE] -- PROGRAM [ARGUMENT…]")
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--stay", action="store_true")
    parser.add_argument("--output")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    # A parent with threads may have blocked everything in the one that started us; the program would inherit it, too.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    bench = Bench(options.command, options.output)
    # The program's end must wake the loop up.
    ended, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(told)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda *_: bench.quit())
    if not options.wait:
        bench.start()
    say("ok ready")

    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(ended, selectors.EVENT_READ)
    pending = b""
    open_input = True
    while True:
        if bench.program and bench.program.poll() is not None:
            if not (options.stay and open_input):
                break
            say(f"exited {bench.status()}")
            bench.program = None
        if not open_input and not bench.program:
            break
        for key, _ in selector.select():
            if key.fd == ended:
                os.read(ended, 4096)
                continue
            data = os.read(0, 4096)
            if not data:
                selector.unregister(0)
                open_input = False
                bench.quit()
                continue
            pending += data
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                text = line.decode("utf-8", "replace").strip()
                say(bench.obey(text))
                if text == "quit":
                    open_input = False
    status = bench.status()
    say(f"exit {status}")
    return status


if __name__ == "__main__":
    sys.exit(main())
