"""`make bench`: every bench_*.py beside this file, each in turn, or those that are named (`make bench ONLY=store`).

A bench file has one function `bench()` that prints its rows through `table.row`. One that can't run here says why with
`table.row(..., note="skipped: ...")`; one that breaks is told and the others go on, but the run then fails."""

import importlib
import pathlib
import sys
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "EndToEnd")]

import table  # noqa: E402


def main(only):
    broken = []
    for path in sorted(HERE.glob("bench_*.py")):
        area = path.stem.removeprefix("bench_")
        if only and area not in only:
            continue
        print(f"\n== {area}", flush=True)
        try:
            importlib.import_module(path.stem).bench()
        except Exception:
            traceback.print_exc()
            broken.append(area)
    table.save(HERE.parents[1] / ".build" / "bench.json")
    missed = [row["what"] for row in table.ROWS if row["holds"] is False]
    print(f"\n{len(table.ROWS)} measurements, {len(missed)} beyond what was asked; .build/bench.json has them")
    for area in broken:
        print(f"broken: {area}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
