"""What a running process costs, read from /proc."""

import os
import pathlib

TICKS = os.sysconf("SC_CLK_TCK")


def _fields(pid):
    """From the third on, those of proc_pid_stat(5): the name before them may hold spaces."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()


def cpu(pid):
    """Seconds of the process' own time."""
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


def descendants_cpu(pid, name):
    """Seconds of all processes below `pid` whose program is called like that."""
    parents, names = {}, {}
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int(_fields(path.name)[1])
            names[int(path.name)] = (path / "comm").read_text().strip()
        except OSError:
            continue
    total = 0.0
    for found in [child for child in parents if name in names.get(child, "")]:
        above = found
        while above in parents and above != pid:
            above = parents[above]
        try:
            total += cpu(found) if above == pid else 0
        except OSError:
            continue
    return total


def resident(pid):
    """Kilobytes."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1])
