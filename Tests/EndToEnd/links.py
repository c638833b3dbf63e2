"""Two network namespaces and a cable between them: a slow one (tbf), one that is pulled out, one that changes its address. Needs
root and iproute2; everything is gone with the `with`."""

import contextlib
import os
import re
import shutil
import subprocess

from bench import Program, eventually


def available():
    """Why there can be none here; None when there can."""
    if os.geteuid():
        return "needs root for a network namespace"
    if not shutil.which("ip") or not shutil.which("tc"):
        return "iproute2 isn't installed"
    name = f"ess{os.getpid()}p"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
        return "no network namespaces here"
    # A chroot whose root is no mount point can make one and not enter it.
    entered = subprocess.run(["ip", "netns", "exec", name, "ip", "link", "set", "lo", "up"], capture_output=True)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return "network namespaces can't be entered here" if entered.returncode else None


class Link:
    count = 0

    def __init__(self, rate=None):
        Link.count += 1
        tag = f"{os.getpid() % 100000}{chr(96 + Link.count % 26)}"
        self.near, self.far = f"essa{tag}", f"essb{tag}"
        self.cable, self.other = f"va{tag}", f"vb{tag}"
        self.rate = rate
        self.client, self.server = "10.77.0.2", "10.77.0.1"
        self.client_side = ("ip", "netns", "exec", self.near)
        self.server_side = ("ip", "netns", "exec", self.far)

    def run(self, *words):
        return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for name in (self.near, self.far):
                self.run("ip", "netns", "add", name)
                stack.callback(subprocess.run, ["ip", "netns", "del", name], capture_output=True)
                self.run("ip", "-n", name, "link", "set", "lo", "up")
            self.run("ip", "link", "add", self.cable, "netns", self.near, "type", "veth", "peer", "name", self.other, "netns", self.far)
            self.run("ip", "-n", self.far, "addr", "add", f"{self.server}/16", "dev", self.other)
            self.run("ip", "-n", self.far, "link", "set", self.other, "up")
            self.up()
            if self.rate:
                self.run("tc", "-n", self.near, "qdisc", "add", "dev", self.cable, "root", "tbf", "rate", self.rate,
                         "burst", "32kb", "latency", "100ms")
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def up(self, address=None):
        """The cable is in, with an address and a way out."""
        address = address or self.client
        self.run("ip", "-n", self.near, "addr", "add", f"{address}/16", "dev", self.cable)
        self.run("ip", "-n", self.near, "link", "set", self.cable, "up")
        self.run("ip", "-n", self.near, "route", "add", "default", "via", self.server, "dev", self.cable)

    def down(self):
        self.run("ip", "-n", self.near, "addr", "flush", "dev", self.cable)
        self.run("ip", "-n", self.near, "link", "set", self.cable, "down")

    def sent(self):
        """Bytes that went into the cable at the laptop's end."""
        text = self.run("ip", "-n", self.near, "-s", "link", "show", self.cable)
        return int(re.search(r"TX:.*\n\s*(\d+)", text).group(1))


BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>"""


class NetworkManager:
    """The real one, on a bus of its own, at the laptop's end of the cable."""

    def __init__(self, bench, link):
        self.link = link
        place = bench.directory / "nm"
        place.mkdir()
        socket = place / "bus"
        self.environment = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={socket}"}
        (place / "bus.conf").write_text(BUS.format(socket=socket))
        bus = Program(place / "bus.log", [*link.client_side, "dbus-daemon", f"--config-file={place}/bus.conf", "--nofork"])
        bench.programs.append(bus)
        eventually("the bus", socket.exists)
        (place / "connections").mkdir()
        (place / "nm.conf").write_text(
            f"[main]\nplugins=keyfile\nno-auto-default=*\ndns=none\nrc-manager=unmanaged\n[keyfile]\npath={place}/connections\n"
            "[connectivity]\nenabled=false\n")
        # Without udevd NetworkManager waits for it without end, unless /sys is read-only, as in a container. `ip netns exec` has
        # given us a /sys of our own.
        manager = Program(place / "nm.log", [
            *link.client_side, "sh", "-c", 'mount -o remount,bind,ro /sys && exec "$@"', "sh", "NetworkManager",
            "--no-daemon", f"--config={place}/nm.conf", f"--config-dir={place}/none",
            f"--intern-config={place}/none", f"--state-file={place}/state", f"--pid-file={place}/pid"], self.environment)
        bench.programs.append(manager)
        eventually("NetworkManager", lambda: self.ask("-t", "general").returncode == 0)
        self.tell("device", "set", link.cable, "managed", "yes")
        self.tell("connection", "add", "type", "ethernet", "ifname", link.cable, "con-name", "way", "ipv4.method", "manual",
                  "ipv4.addresses", f"{link.client}/16", "ipv4.gateway", link.server, "connection.metered", "yes")
        self.tell("connection", "up", "way")

    def ask(self, *words):
        return subprocess.run([*self.link.client_side, "nmcli", *words], capture_output=True, text=True,
                              env={**os.environ, **self.environment})

    def tell(self, *words):
        done = self.ask(*words)
        assert done.returncode == 0, done.stderr
