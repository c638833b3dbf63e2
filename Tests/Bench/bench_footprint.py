"""What the daemon costs a laptop that does nothing: start to READY, idle memory and wake-ups, installed size; beside ModemManager, which sits
on the same laptops and also waits for what is plugged in.

ESS_BENCH_IDLE sets how long "nothing" lasts (30 s). The daemon is enrolled and online, its page closed, worklist every 300 s."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import table
from bench import BIN, ROOT, Bench

IDLE = int(os.environ.get("ESS_BENCH_IDLE", "30"))


def quiet_udev():
    """Where udev doesn't run (a container) the agent looks by itself every two seconds, which no laptop makes it do. libudev takes the
    control socket's path for udev: with it the agent waits for events that don't come, as on a laptop where nothing is plugged in."""
    if os.path.exists("/run/udev/control"):
        return [], "udev runs"
    if os.geteuid():
        return [], "udev doesn't run here: it looks by itself"
    return ["unshare", "--mount", "sh", "-c", "mkdir -p /run/udev && mount -t tmpfs none /run/udev && touch /run/udev/control && exec \"$@\"", "sh"], \
        "udev's socket is a made one: no event comes"


UDEV, UDEV_NOTE = quiet_udev()


def pss(pid):
    """Megabytes, shared pages by their share."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1]) / 1024


def wakeups(pid):
    """How often a thread of it was put on a processor again."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            lines = (task / "status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))
    return total


def idle(pid):
    before = wakeups(pid)
    time.sleep(IDLE)
    return pss(pid), (wakeups(pid) - before) / IDLE


def start_to_ready(world, runs=5):
    """Milliseconds from the start of the process to READY=1, the median; the last one goes on running."""
    times = []
    for number in range(runs):
        path = world.directory / f"notify{number}"
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(path))
        notify.settimeout(30)
        begun = time.monotonic()
        process = subprocess.Popen(
            [*UDEV, BIN / "ess-agent", "serve", "--config", world.config], env={**os.environ, "NOTIFY_SOCKET": str(path)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while b"READY=1" not in notify.recv(4096):
            pass
        times.append((time.monotonic() - begun) * 1000)
        if number < runs - 1:
            process.terminate()
            process.wait(20)
    return sorted(times)[runs // 2], process


def modem_manager():
    """ModemManager idle on a bus of its own, as (process, its pid); None where it isn't installed."""
    program = shutil.which("ModemManager")
    if not program or not shutil.which("dbus-run-session"):
        return None
    process = subprocess.Popen(
        ["dbus-run-session", "--", program, "--test-session"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for pid in map(int, subprocess.run(["pgrep", "-s", str(process.pid), "-x", "ModemManager"], capture_output=True, text=True).stdout.split()):
            return process, pid
        time.sleep(0.1)
    process.terminate()
    return None


def installed_size():
    """Megabytes of what the package puts on the disk; None without a package (`make deb`)."""
    debs = [d for d in (ROOT / ".build/deb").glob("ess-agent_*.deb")]
    if not debs:
        return None
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["dpkg-deb", "-x", debs[0], place], check=True)
        return sum(p.stat().st_size for p in pathlib.Path(place).rglob("*") if p.is_file() and not p.is_symlink()) / 1e6


def bench():
    size = installed_size()
    table.row("installed size of ess-agent", size or 0.0, "MB", note="" if size else "skipped: `make deb` makes the package")
    world = Bench()
    neighbour = None
    try:
        world.make_server()
        world.start_server()
        world.configure(log_level="info", retry_min="5", retry_max="300", worklist_interval="300", page_port="0")
        ready, process = start_to_ready(world)
        try:
            table.row("start to READY, median of 5", ready, "ms", bound="at most 300 ms", holds=ready <= 300)
            world.wait_for_visits()
            time.sleep(3)
            neighbour = modem_manager()
            if neighbour:
                time.sleep(5)
            memory, rate = idle(process.pid)
            other = idle(neighbour[1]) if neighbour else (None, None)
            note = ("beside ModemManager" if neighbour else "ModemManager isn't installed") + "; " + UDEV_NOTE
            table.row("idle memory, PSS", memory, "MB", baseline=other[0], bound="at most 40 MB", holds=memory <= 40, note=note)
            table.row("wake-ups while idle", rate, "1/s", baseline=other[1], bound="at most 1/s", holds=rate <= 1, note=note)
        finally:
            process.terminate()
            process.wait(20)
    finally:
        if neighbour:
            os.killpg(neighbour[0].pid, 15)
        world.close()
