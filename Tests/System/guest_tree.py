"""A small Debian of the tests' own: its tree is made once by mmdebstrap, each test works on an overlay of it."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("ESS_SYSTEM_CACHE", ROOT / ".build/system"))
DEBS = pathlib.Path(os.environ.get("ESS_DEBS", ROOT / ".build/deb"))
SUITE = os.environ.get("ESS_SUITE", "bookworm")
DEBIAN, UBUNTU = "http://deb.debian.org/debian", "http://archive.ubuntu.com/ubuntu"
# Suites that mmdebstrap is told the whole source of; of Debian's stable ones it knows more (security, updates).
SOURCES = {"noble": f"deb [signed-by={{keyring}}] {UBUNTU} noble main universe"}
# Debian 12 has no package of Ubuntu's keys. This one holds the archive's key of 2018: F6ECB3762474EDA9D21B7022871920D1991BC93C.
UBUNTU_KEYS = f"{UBUNTU}/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
UBUNTU_KEYS_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"
# What the packages depend on, so that the tests themselves need no network.
PACKAGES = [
    "apt", "systemd", "systemd-sysv", "udev", "dbus", "ca-certificates", "debconf", "mount", "util-linux", "procps", "iproute2", "libcurl4",
    "libsqlite3-0", "libusb-1.0-0", "libzstd1", "libudev1", "libstdc++6", "libgcc-s1", "kmod", "usbutils", "mandoc",
]


def run(*command, **options):
    """Runs a program; its output goes into the error when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def packages():
    """The two packages under test: name -> path."""
    found = {p.name.split("_")[0]: p for p in DEBS.glob("ess-agent*.deb") if "dbgsym" not in p.name}
    assert set(found) == {"ess-agent", "ess-agent-tools"}, f"{DEBS} holds {sorted(found)}: `make deb` makes the packages"
    return found


def unavailable(suite=SUITE, extra=()):
    """Why such a tree can't be had here; None where it can. A tree that could be made and isn't is a failure, not this."""
    if os.geteuid() != 0:
        return "needs root: chroot and mounts"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        return "this container lets nobody mount"
    if (place(suite, extra) / "etc/os-release").exists():
        return None
    if not shutil.which("mmdebstrap"):
        return "mmdebstrap isn't installed"
    mirror = UBUNTU if suite in SOURCES else DEBIAN
    try:
        with urllib.request.urlopen(f"{mirror}/dists/{suite}/InRelease", timeout=20):
            return None
    except OSError as error:
        return f"{mirror} doesn't answer: {error}"


def source(suite):
    """What mmdebstrap is told beyond the suite's name."""
    if suite not in SOURCES:
        return []
    keyring = CACHE / "ubuntu-archive-keyring.gpg"
    if not keyring.exists():
        with urllib.request.urlopen(UBUNTU_KEYS, timeout=60) as answer:
            content = answer.read(1 << 20)
        assert hashlib.sha256(content).hexdigest() == UBUNTU_KEYS_SHA256, f"{UBUNTU_KEYS} holds something else than before"
        package, unpacked = CACHE / "keys.deb", CACHE / "keys"
        package.write_bytes(content)
        run("dpkg-deb", "-x", str(package), str(unpacked))
        shutil.copy(unpacked / "usr/share/keyrings/ubuntu-archive-keyring.gpg", keyring)
    return [SOURCES[suite].format(keyring=keyring)]


def place(suite, extra=()):
    """Where the tree is kept; with other packages it is another one."""
    return CACHE / (f"{suite}-{hashlib.sha256(' '.join([*PACKAGES, *extra]).encode()).hexdigest()[:8]}" if extra else suite)


def base_tree(extra=(), suite=SUITE):
    """The unpacked minimal Debian; made once. `extra` are further packages (the guest's)."""
    tree = place(suite, extra)
    if not (tree / "etc/os-release").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = CACHE / f"{tree.name}.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        run("mmdebstrap", "--variant=minbase", "--aptopt=APT::Install-Recommends false", f"--include={','.join([*PACKAGES, *extra])}",
            "--dpkgopt=path-exclude=/usr/share/locale/*", suite, str(unfinished), *source(suite))
        unfinished.rename(tree)
    return tree


class Tree:
    """A writable view of a tree, in which programs are run."""

    def __init__(self, path):
        self.path = path

    def run(self, *command, check=True, environment=None, **options):
        """Runs a program inside. Returns its output; with `check=False` the finished process."""
        inside = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            ["/usr/sbin/chroot", self.path, *command], capture_output=True, text=True, env=inside | (environment or {}), **options)
        if not check:
            return done
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def apt(self, *arguments, **options):
        return self.run(
            "apt-get", "-y", "-qq", "--no-install-recommends", "--allow-downgrades", "-o", "Dpkg::Options::=--force-confold", *arguments,
            **options)

    def bring(self, path, name=None):
        """Copies a file of the host to /root; returns its path inside."""
        name = name or pathlib.Path(path).name
        shutil.copy(path, self.path / "root" / name)
        return f"/root/{name}"

    def at(self, path):
        return self.path / path.lstrip("/")


@contextlib.contextmanager
def overlay(base, scratch, above=()):
    """`base` with everything that is written kept in `scratch`; `above` it the layers (`upper`) of overlays that were left."""
    upper, work, merged = (scratch / name for name in ("upper", "work", "merged"))
    for directory in (upper, work, merged):
        directory.mkdir()
    run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={':'.join(map(str, [*above, base]))},upperdir={upper},workdir={work}", str(merged))
    try:
        for place in ("proc", "dev"):
            run("mount", "--rbind", "--make-rslave", f"/{place}", str(merged / place))
        # No service is started by a package's script in here.
        policy = merged / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        yield Tree(merged)
    finally:
        for place in ("dev", "proc", ""):
            subprocess.run(["umount", "-R", "-l", str(merged / place)], capture_output=True)


def install(tree, *names):
    """The packages under test; `ess-agent` alone unless they are named."""
    debs = packages()
    tree.apt("install", *[tree.bring(debs[name]) for name in names or ("ess-agent",)])
