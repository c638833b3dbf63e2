#!/usr/bin/env python3
"""Table of recordings and receipts, each hash taken anew from the server's disk.

usage: receipts.py RECORDINGS.json SERVER-DIRECTORY/recordings; exit status 0 only if each recording has a matching receipt."""
import hashlib
import json
import pathlib
import sys

recordings = json.loads(pathlib.Path(sys.argv[1]).read_text())
disk = pathlib.Path(sys.argv[2])
rows, failures = [("RECORDING", "DEVICE", "VISIT", "CONTENT", "SIZE", "SHA-256", "RECEIPT")], 0
for recording in recordings:
    if recording.get("supersededBy") or not recording["originalBytes"]:
        continue
    device = recording["device"] + (" (SIMULATED)" if recording["origin"] == "simulated" else "")
    if not recording["documents"]:
        failures += 1
        rows.append((recording["id"], device, recording.get("visit") or "-", "-", "-", "-", recording.get("attention") or "none"))
    for document in recording["documents"]:
        path, receipt = disk / document["id"], document.get("receipt")
        on_disk = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
        good = bool(receipt) and receipt["matches"] and receipt["sha256"] == document["sha256"] == on_disk \
            and receipt["size"] == document["size"] == path.stat().st_size
        failures += not good
        rows.append((recording["id"], device, recording.get("visit") or "-", document["mediaType"], str(document["size"]),
                     document["sha256"][:16] + "…", f"{receipt['storedAt']} ✓" if good else "MISSING OR WRONG"))
if len(rows) == 1:
    failures += 1
widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
for row in rows:
    print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
print(f"{len(rows) - 1 - failures} of {len(rows) - 1} documents received, hashes equal on the server's disk")
sys.exit(bool(failures))
