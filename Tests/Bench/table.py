"""The table of `make bench`: one row a measurement, beside its baseline of the same run, with the bound that the project set itself.

A row is never a test: these machines are noisy, so a bound that is missed is marked, and the run goes on. `make bench` writes
all rows as JSON too, to compare releases by eye."""

import json
import os
import pathlib

ROWS = []


def row(what, measured, unit="", baseline=None, bound=None, holds=None, note=""):
    """Prints one line at once, so that a long run can be followed.

    `baseline` is what the neighbour did in the same run, in the same unit; `bound` says what we ask of ourselves, and `holds`
    whether that was so (None: nothing is asked)."""
    ROWS.append(dict(what=what, measured=measured, unit=unit, baseline=baseline, bound=bound, holds=holds, note=note))
    mark = {True: "ok  ", False: "MISS", None: "    "}[holds]
    text = f"{mark} {what}: {_number(measured)} {unit}".rstrip()
    if baseline is not None:
        text += f"   beside {_number(baseline)} {unit}".rstrip()
        if isinstance(baseline, (int, float)) and isinstance(measured, (int, float)) and baseline:
            text += f" (ratio {measured / baseline:.2f})"
    if bound:
        text += f"   asked: {bound}"
    if note:
        text += f"   [{note}]"
    print(text, flush=True)


def save(path):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(json.dumps({"load": os.getloadavg(), "rows": ROWS}, indent=1))


def _number(value):
    return f"{value:,.3g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}" if isinstance(value, (int, float)) else value
