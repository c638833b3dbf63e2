"""What a stick with examinations costs: 500 MB of cines, hashed, sealed and stored, beside `cp` and `sha256sum` of the same files; what
is read of a cine to know whose it is; and the memory that it takes."""

import os
import pathlib
import resource
import shutil
import subprocess
import time

import sticks
import table
from bench import Bench

MB = 1_000_000
COUNT, SIZE = 25, 20 * MB


def timed(command):
    begin = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


def read_so_far(pid):
    """Bytes that the process asked the kernel for."""
    return int(next(line for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines() if "rchar" in line).split()[1])


def processor(pid):
    """Seconds on a processor so far: what a busy machine doesn't count."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def resident(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def bench():
    world = Bench()
    try:
        world.make_server()
        world.start_server()
        world.configure(log_level="info")
        world.start_agent()
        visit = world.wait_for_visits()[0]
        # What follows is the import alone; it is sent when there is a network again.
        world.server.kill()
        world.cli("visit", "open", visit["id"])
        stick = world.directory / "KEY"
        sticks.write(stick, {
            f"DICOM/IM{n:06}": sticks.cine(visit["patient"], f"1.2.3.{n}", size=SIZE, frames=60, seed=n) for n in range(COUNT)})
        files = sorted(str(path) for path in stick.rglob("IM*"))
        total = sum(pathlib.Path(path).stat().st_size for path in files)
        copy = world.directory / "copy"
        subprocess.run(["sync"], check=True)
        # Twice, before and after, as a neighbour on the machine would show.
        neighbours, costs = [], []
        for _ in range(2):
            spent = children()
            copying = timed(["cp", "-r", stick, copy]) + timed(["sync", "-f", copy])
            hashing = timed(["sha256sum", *files])
            neighbours.append(total / MB / (copying + hashing))
            costs.append(children() - spent)
            shutil.rmtree(copy)
            if len(neighbours) == 1:
                pid = world.agent.process.pid
                idle, spent = resident(pid), processor(pid)
                begin = time.monotonic()
                imported = world.cli("import", stick, "--json", timeout=600)
                seconds, cost = time.monotonic() - begin, processor(pid) - spent
                assert len(imported["imported"]) == COUNT, imported
        rate, neighbour = total / MB / seconds, sum(neighbours) / 2
        table.row("import of 500 MB of cines", rate, "MB/s", baseline=neighbour, bound=">= 0.7 of cp, to the disk, + sha256sum",
                  holds=rate >= 0.7 * neighbour, note=f"load {os.getloadavg()[0]:.1f}")
        table.row("processor time for it, on two threads", cost, "s", baseline=sum(costs) / 2)
        table.row("memory that it took", resident(pid) - idle, "MB", note="peak, above the idle agent")
        before = read_so_far(pid)
        again = world.cli("import", stick, "--json", timeout=600)
        assert len(again["known"]) == COUNT
        header = (read_so_far(pid) - before) / COUNT / 1024
        table.row("read of a cine that is known: survey and mark", header, "KiB")
        # With another time it could be another file: its header is read, and its content hashed once, which is subtracted.
        for path in files:
            os.utime(path, (1_700_000_000, 1_700_000_000))
        before = read_so_far(pid)
        again = world.cli("import", stick, "--json", timeout=600)
        assert len(again["known"]) == COUNT and again["imported"] == []
        header = (read_so_far(pid) - before - total) / COUNT / 1024
        table.row("read of a cine to know it: survey, mark and header", header, "KiB", bound="<= 1 MiB", holds=0 < header <= 1024)
    finally:
        world.close()
