"""The packages in a small Debian of their own: installed, upgraded with data, removed, purged, installed again.

Needs root (chroot, overlay mounts). `make test` runs it on packages of the debug build, `make test-package` on those that are released.
"""

import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

import guest_tree

STATE = "/var/lib/ess-agent"


class Daemon:
    """The installed daemon, as its own user, where no systemd runs."""

    def __init__(self, tree):
        self.tree = tree
        for path, mode in ((STATE, "0700"), ("/run/ess-agent", "0750")):
            tree.run("install", "-d", "-o", "ess-agent", "-g", "ess-agent", "-m", mode, path)
        self.process = subprocess.Popen(
            ["/usr/sbin/chroot", "--userspec=ess-agent:ess-agent", tree.path, "/usr/bin/ess-agent", "serve", "--set", "page-port=0"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={"PATH": "/usr/bin:/bin", "HOME": STATE})

    def __enter__(self):
        for line in self.process.stdout:
            if " ready" in line:
                return self
        raise AssertionError(f"the daemon ended with {self.process.wait()}")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0

    def status(self):
        return json.loads(self.tree.run("ess-agent", "status", "--json"))


def digests(directory):
    return {
        str(p.relative_to(directory)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(directory.rglob("*")) if p.is_file()
    }


def repacked(tree, tmp_path, version):
    """The same package under another version: an upgrade needs a second one."""
    content = tmp_path / f"repacked-{version}"
    guest_tree.run("dpkg-deb", "-R", str(guest_tree.packages()["ess-agent"]), str(content))
    control = content / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {version}", control.read_text()))
    deb = tmp_path / f"ess-agent_{version}.deb"
    guest_tree.run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", str(content), str(deb))
    return tree.bring(deb)


def test_what_is_installed(installed):
    tree = installed
    assert "ess-agent:" in tree.at("/etc/passwd").read_text()
    account = tree.run("getent", "passwd", "ess-agent").strip().split(":")
    assert account[6].endswith("nologin") and int(account[2]) < 1000
    assert tree.run("ess-agent", "--version").strip() == re.match(
        r"ess-agent \(([^)+~-]+)", (guest_tree.ROOT / "debian/changelog").read_text()).group(1)
    # Enabled, but nothing of an administrator's is decided.
    assert tree.run("systemctl", "is-enabled", "ess-agent.service").strip() == "enabled"
    settings = tree.at("/etc/ess-agent/ess-agent.conf").read_text().splitlines()
    assert [line for line in settings if line.strip() and not line.startswith("#")] == []
    tree.run("systemd-analyze", "verify", "--man=no", "ess-agent.service", "ess-media@sda1.service", "ess-media-exchanged@sda.service")
    # udev's own trigger made the database anew.
    assert "Omron" in tree.run("systemd-hwdb", "query", "usb:v0590p0028:BM"), "the devices' names aren't known"
    # The tested unit is the one that is shipped.
    assert tree.at("/lib/systemd/system/ess-agent.service").read_text() == (guest_tree.ROOT / "systemd/ess-agent.service").read_text()
    files = set(tree.run("dpkg", "-L", "ess-agent").split())
    for path in (
        "/lib/udev/rules.d/70-ess-agent.rules", "/lib/udev/hwdb.d/70-ess-agent.hwdb", "/usr/share/applications/ess-agent.desktop", "/usr/share/man/man1/ess-agent.1.gz",
        "/usr/share/man/man5/ess-agent.conf.5.gz", "/usr/share/bash-completion/completions/ess-agent", "/usr/lib/sysusers.d/ess-agent.conf",
        "/usr/lib/tmpfiles.d/ess-agent.conf", "/usr/share/icons/hicolor/scalable/apps/ess-agent.svg",
        "/usr/share/doc/ess-agent/sbom.cdx.json.gz", "/usr/share/doc/ess-agent/administrator.md.gz", "/usr/share/doc/ess-agent/keys.md.gz",
        "/usr/share/doc/ess-agent/fleet.md.gz",
    ):
        assert path in files or path.removesuffix(".gz") in files, f"{path} is missing"
    assert not any(path.startswith(STATE) for path in files), "the state isn't the package's"


def test_every_key_has_its_place_in_manual_and_default_file():
    source = "".join(path.read_text() for path in sorted((guest_tree.ROOT / "Sources/Agent").glob("Configuration*.swift")))
    keys = set(re.findall(r'(?m)^ +case "([a-z-]+)":', source))
    assert len(keys) > 10
    manual = (guest_tree.ROOT / "systemd/ess-agent.conf.5").read_text()
    default = (guest_tree.ROOT / "systemd/ess-agent.conf").read_text()
    # At the head of an item, or in the text of the item that they belong to.
    lines = re.findall(r"(?m)^\.(?:It )?Cm (.*)", manual)
    named = {word for line in lines for word in line.removesuffix(" .").removesuffix(" ,").split(" , ")}
    assert keys - named == set(), "keys that ess-agent.conf(5) doesn't explain"
    assert named - keys == set(), "keys in ess-agent.conf(5) that nobody reads"
    assert keys - set(re.findall(r"(?m)^# ([a-z-]+) =", default)) == set(), "keys that ess-agent.conf doesn't show"


def test_manuals_are_sound(tree):
    guest_tree.install(tree, "ess-agent", "ess-agent-tools")
    for page in ("man1/ess-agent.1", "man1/ess-server.1", "man1/ess-sim.1", "man5/ess-agent.conf.5"):
        said = tree.run("mandoc", "-T", "lint", "-W", "error", f"/usr/share/man/{page}.gz", check=False)
        assert said.returncode == 0, said.stdout
    assert "unattributed" not in tree.run("mandoc", "/usr/share/man/man1/ess-server.1.gz")
    text = tree.run("mandoc", "-T", "utf8", "/usr/share/man/man1/ess-agent.1.gz")
    assert "backup" in re.sub(".\b", "", text)


def test_an_upgrade_keeps_data_and_settings(installed, tmp_path):
    tree = installed
    with Daemon(tree) as daemon:
        assert daemon.status()["counts"]["recordings"] == 0
    tree.at("/etc/ess-agent/ess-agent.conf.d/50-fleet.conf").write_text("laptop = ess-042\n")
    with open(tree.at("/etc/ess-agent/ess-agent.conf"), "a") as settings:
        settings.write("worklist-interval = 60\n")
    before = digests(tree.at(STATE))
    assert any(name.endswith("master.key") for name in before)
    tree.apt("install", repacked(tree, tmp_path, "99.0"))
    assert digests(tree.at(STATE)) == before
    assert tree.at("/etc/ess-agent/ess-agent.conf.d/50-fleet.conf").exists()
    assert "worklist-interval = 60" in tree.at("/etc/ess-agent/ess-agent.conf").read_text()
    with Daemon(tree) as daemon:
        daemon.status()
    assert tree.at(f"{STATE}/master.key").read_bytes() and digests(tree.at(STATE))["master.key"] == before["master.key"]


def test_removed_and_installed_again_goes_on_with_the_same_store(installed):
    tree = installed
    with Daemon(tree):
        pass
    before = digests(tree.at(STATE))
    tree.apt("remove", "ess-agent")
    assert not tree.at("/usr/bin/ess-agent").exists()
    assert digests(tree.at(STATE)) == before
    guest_tree.install(tree)
    with Daemon(tree) as daemon:
        assert "counts" in daemon.status()
    assert digests(tree.at(STATE))["master.key"] == before["master.key"]


def with_data(tree):
    with Daemon(tree):
        pass
    tree.at("/etc/credstore.encrypted").mkdir(exist_ok=True)
    tree.at("/etc/credstore.encrypted/ess-agent.master-key").write_text("sealed")
    tree.at("/etc/credstore.encrypted/other.key").write_text("somebody else's")
    tree.at("/etc/ess-agent/client.pem").write_text("this laptop's")
    return tree


def test_purge_without_anybody_to_ask_keeps_patients_data(installed):
    tree = with_data(installed)
    before = digests(tree.at(STATE))
    said = tree.apt("purge", "ess-agent", check=False)
    assert said.returncode == 0 and "kept" in said.stdout + said.stderr
    assert digests(tree.at(STATE)) == before
    assert tree.at("/etc/credstore.encrypted/ess-agent.master-key").exists()
    assert not tree.at("/etc/ess-agent/ess-agent.conf").exists()
    guest_tree.install(tree)
    with Daemon(tree):
        pass
    assert digests(tree.at(STATE))["master.key"] == before["master.key"]


def test_purge_that_was_decided_beforehand_deletes(installed):
    tree = with_data(installed)
    tree.run("debconf-set-selections", input="ess-agent ess-agent/purge-data boolean true\n")
    tree.apt("purge", "ess-agent")
    for path in (STATE, "/etc/ess-agent", "/etc/credstore.encrypted/ess-agent.master-key"):
        assert not tree.at(path).exists(), f"{path} is still there"
    assert tree.at("/etc/credstore.encrypted/other.key").exists()
    guest_tree.install(tree)
    with Daemon(tree) as daemon:
        assert daemon.status()["counts"]["recordings"] == 0


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_purge_asks_a_person(installed, answer):
    tree = with_data(installed)
    child, terminal = pty.fork()
    if child == 0:
        os.chroot(tree.path)
        os.chdir("/")
        os.execve("/usr/bin/dpkg", ["dpkg", "--purge", "ess-agent"], {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "dumb", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "readline"})
    text, answered, deadline = "", False, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 1)[0]:
            try:
                text += os.read(terminal, 4096).decode(errors="replace")
            except OSError:
                break
        if not answered and "[yes/no]" in text:
            assert "Delete the patients' recordings" in text
            os.write(terminal, f"{answer}\n".encode())
            answered = True
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, text
    assert answered, text
    assert tree.at(STATE).exists() == (answer == "no")


@pytest.mark.parametrize("state, metrics, restarts", [
    ("active", "ess_agent_recordings_open 0", True),
    ("active", "ess_agent_recordings_open 1", False),
    # An answer that isn't one: busy, too old, not allowed.
    ("active", "", False),
    ("failed", "", True),
])
def test_an_upgrade_cuts_no_capture(installed, state, metrics, restarts):
    tree, said = installed, installed.at("/root/said")
    tree.at("/run/systemd/system").mkdir(parents=True)
    fakes = {
        "systemctl": f'[ "$1" != is-active ] || [ {state} = active ]',
        "ess-agent": f'[ "$1" = metrics ] && [ "{metrics}" ] || exit 10; printf "# TYPE ess_agent_recordings_open gauge\n{metrics}\n"',
        "deb-systemd-invoke": 'echo "$@" >> /root/said',
        "udevadm": 'true',
    }
    tree.at("/root/fakes").mkdir()
    for name, body in fakes.items():
        tree.at(f"/root/fakes/{name}").write_text(f"#!/bin/sh\n{body}\n")
        tree.at(f"/root/fakes/{name}").chmod(0o755)
    said.write_text("")
    tree.run("/var/lib/dpkg/info/ess-agent.postinst", "configure", "0.0.1", environment={
        "PATH": "/root/fakes:/usr/sbin:/usr/bin:/sbin:/bin", "DPKG_MAINTSCRIPT_PACKAGE": "ess-agent", "DPKG_MAINTSCRIPT_NAME": "postinst"})
    assert ("try-restart ess-agent.service" in said.read_text()) == restarts, said.read_text()
