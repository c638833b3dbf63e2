#!/usr/bin/env python3
"""Runs every fuzz target for FUZZ_SECONDS (default 60) under libFuzzer: run.py BINARY [TARGET...]

The corpus starts from fixtures/ (and from ../shared/data, where that is there) and grows in .build-fuzz/corpus. Fails when an input crashes a parser, takes longer than
10 s, or makes it hold more memory than the target's bound (Tests/Fuzz/Targets/FuzzTarget.swift); such an input is kept in
.build-fuzz/found."""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / ".build-fuzz"
CORPUS = WORK / "corpus"
FOUND = WORK / "found"


def main():
    binary, wanted = sys.argv[1], sys.argv[2:]
    seconds = int(os.environ.get("FUZZ_SECONDS", "60"))
    FOUND.mkdir(parents=True, exist_ok=True)
    # Real files, where they lie beside the project.
    shared = ROOT.parent / "shared" / "data"
    real = {"ESS_FUZZ_SHARED": str(shared)} if shared.is_dir() else {}
    listed = subprocess.run(
        [binary], check=True, text=True, stdout=subprocess.PIPE,
        env=os.environ | {"ESS_FUZZ_SEEDS": str(CORPUS), "ESS_FUZZ_FIXTURES": str(ROOT / "fixtures"), "ESS_FUZZ_TARGET": "edf"} | real,
    ).stdout.split()
    targets = wanted or listed
    failed = []
    for target in targets:
        if target not in listed:
            sys.exit(f"no target is called {target}; there are: {' '.join(listed)}")
        run = subprocess.run(
            [binary, str(CORPUS / target), f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=3000",
             "-max_len=65536", "-print_final_stats=1", "-verbosity=0", f"-artifact_prefix={FOUND}/{target}-"],
            text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=os.environ | {"ESS_FUZZ_TARGET": target, "SWIFT_BACKTRACE": "enable=no"},
        )
        number = re.search(r"number_of_executed_units:\s*(\d+)", run.stdout)
        count = f"{int(number[1]):,} inputs" if number else "no count"
        print(f"{target:24} {'ok' if run.returncode == 0 else 'FAILED'}  {count}", flush=True)
        if run.returncode != 0:
            failed.append(target)
            print("\n".join(run.stdout.splitlines()[-25:]), flush=True)
    if failed:
        sys.exit(f"failed: {' '.join(failed)}; inputs in {FOUND}")


main()
