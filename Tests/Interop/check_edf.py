#!/usr/bin/env python3
"""Let pyedflib and edfio judge an EDF or BDF file.

usage: check_edf.py FILE EXPECTED.json [--written]

EXPECTED.json holds what the agent decoded (or meant to write):
  {"start": "2026-11-22 09:05:07" or null,
   "exact": false when an offset had to be rounded to half of the scale (default true),
   "channels": [{"name": ..., "unit": ..., "rate": [n, d], "scale": [n, d], "samples": [int or null, ...]}]}
--written: the file is ours, so both libraries must accept it (EDF+D: edfio alone, as pyedflib reads none), and every rule of EDF+ that we know must hold.
Exit status 0: all agree. Otherwise every disagreement is printed.
"""
import datetime
import json
import re
import sys

import edfio
import numpy as np
import pyedflib

MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
problems = []


def problem(text):
    problems.append(text)


def pyedflib_signals(path):
    with pyedflib.EdfReader(path) as reader:
        out = []
        for i in range(reader.signals_in_file):
            digital = reader.readSignal(i, digital=True)
            physical = reader.readSignal(i)
            out.append((reader.getLabel(i), reader.getSampleFrequency(i), digital, physical, reader.getPrefilter(i)))
        return out, reader.getStartdatetime(), reader.readAnnotations()


def edfio_signals(path):
    file = edfio.read_bdf(path) if open(path, "rb").read(1) == b"\xff" else edfio.read_edf(path)
    out = [(s.label, s.sampling_frequency, s.digital, s.data, s.prefiltering) for s in file.signals]
    return out


def compare(who, signals, expected, written, is_exact):
    if len(signals) != len(expected):
        return problem(f"{who}: {len(signals)} signals, expected {len(expected)}")
    for (label, rate, digital, physical, prefilter), want in zip(signals, expected):
        n, d = want["rate"]
        if abs(rate - n / d) > 1e-9 * rate:
            problem(f"{who}: {label}: rate {rate}, expected {n / d}")
        samples = want["samples"]
        if len(digital) < len(samples) if written else len(digital) != len(samples):
            problem(f"{who}: {label}: {len(digital)} samples, expected {len(samples)}")
            continue
        absent = None
        match = re.match(r"no value = (-?\d+)", prefilter)
        if match:
            absent = int(match.group(1))
        elif written:
            problem(f"{who}: {label}: the prefilter field does not say what stands for a missing value")
        missing = np.array([s is None for s in samples], dtype=bool)
        values = np.array([0 if s is None else s for s in samples], dtype=np.float64)
        head = np.asarray(digital)[: len(samples)].astype(np.int64)
        if absent is not None:
            if not np.array_equal(head == absent, missing):
                problem(f"{who}: {label}: missing values differ")
            if np.any(np.asarray(digital)[len(samples):] != absent):
                problem(f"{who}: {label}: the filling of the last record is not 'no value'")
        if written and not np.array_equal(head[~missing], values[~missing].astype(np.int64)):
            problem(f"{who}: {label}: digital values differ")
        top, bottom = want["scale"]
        exact = values * top / bottom
        # Libraries compute with rounded gains; ours are exact, so the difference is floating-point noise only.
        limit = 1e-9 * max(1.0, float(np.abs(exact).max(initial=0)))
        if not is_exact:
            limit += abs(top / bottom) / 2
        if len(exact) and np.abs(np.asarray(physical)[: len(samples)] - exact)[~missing].max(initial=0) > limit:
            problem(f"{who}: {label}: physical values differ")


def number(field):
    return float(field) if re.fullmatch(rb"-?\d+(\.\d+)?", field.strip()) else None


def strict(path):
    """EDF+ (2003) 2.1 and 2.2.1-2.2.4, read from the bytes."""
    data = open(path, "rb").read()
    main = data[:256]
    if main[:8] != b"0       ":
        problem("version field")
    count = int(main[252:256])
    size, records, duration = int(main[184:192]), int(main[236:244]), number(main[244:252])
    if size != 256 * (count + 1):
        problem("header size field")
    if any(not 32 <= byte <= 126 for byte in data[:size]):
        problem("a byte in the header is not printable ASCII")
    if not duration or duration <= 0:
        problem("record duration")
    discontinuous = main[192:236].rstrip() == b"EDF+D"
    if not discontinuous and main[192:236].rstrip() != b"EDF+C":
        problem("reserved field is neither EDF+C nor EDF+D")
    clock = main[168:184].decode()
    try:
        when = datetime.datetime.strptime(clock, "%d.%m.%y%H.%M.%S")
    except ValueError:
        return problem("start date and time")
    offset, columns = 256, {}
    for name, width in [("label", 16), ("transducer", 80), ("dimension", 8), ("pmin", 8), ("pmax", 8), ("dmin", 8),
                        ("dmax", 8), ("prefilter", 80), ("samples", 8), ("reserved", 32)]:
        columns[name] = [data[offset + i * width:offset + (i + 1) * width] for i in range(count)]
        offset += width * count
    for name, fields in columns.items():
        for field in fields:
            if field != field.lstrip().ljust(len(field)):
                problem(f"{name} field is not left-justified")
    samples = [int(x) for x in columns["samples"]]
    for i in range(count):
        low, high = number(columns["dmin"][i]), number(columns["dmax"][i])
        if None in (low, high) or not -32768 <= low < high <= 32767:
            problem(f"signal {i}: digital limits")
        first, last = number(columns["pmin"][i]), number(columns["pmax"][i])
        if None in (first, last) or first == last:
            problem(f"signal {i}: physical limits")
    record = 2 * sum(samples)
    if record > 61440:
        problem("a record is longer than 61440 bytes")
    if records < 1 or len(data) != size + records * record:
        problem(f"file size {len(data)} is not {size} + {records} x {record}")
    patient = main[8:88].decode().rstrip().split(" ")
    if len(patient) < 4 or "" in patient:
        problem("patient field: four subfields, one space between them")
    else:
        if patient[1] not in ("M", "F", "X"):
            problem("patient field: sex")
        date(patient[2], "birth date")
    recording = main[88:168].decode().rstrip().split(" ")
    if len(recording) < 5 or recording[0] != "Startdate" or "" in recording:
        problem("recording field: Startdate and four subfields")
    else:
        start = date(recording[1], "start date")
        if start and (start.day, start.month, start.year % 100) != (when.day, when.month, when.year % 100):
            problem("recording field and start date differ")
        if not start and clock != "01.01.8500.00.00":
            problem("an unknown start date that has a date after all")
    annotations = [i for i in range(count) if columns["label"][i].rstrip() == b"EDF Annotations"]
    if len(annotations) != 1:
        return problem("one annotation signal")
    i = annotations[0]
    if [number(columns[k][i]) for k in ("dmin", "dmax")] != [-32768, 32767]:
        problem("annotation signal: digital limits")
    last = None
    for k in range(records):
        begin = size + k * record + 2 * sum(samples[:i])
        block = data[begin:begin + 2 * samples[i]]
        lists = block.rstrip(b"\0").split(b"\0")
        keeping = re.fullmatch(rb"\+(\d+(?:\.\d+)?)\x14\x14", lists[0])
        onset = float(keeping.group(1)) if keeping else -1
        if discontinuous and last is not None and onset < last + duration - 1e-9 or onset < 0:
            problem(f"record {k}: time-keeping list")
        if (not discontinuous or k == 0) and abs(onset - k * duration) > 1e-9:
            problem(f"record {k}: time-keeping list")
        last = onset
        if not block.endswith(b"\0"):
            problem(f"record {k}: the last list is not closed")
        for item in lists[1:]:
            if not re.fullmatch(rb"[+-]\d+(\.\d+)?(\x15\d+(\.\d+)?)?\x14([^\x00-\x1f]+\x14)+", item):
                problem(f"record {k}: annotation {item!r}")
            item.decode("utf-8")


def date(text, what):
    if text == "X":
        return None
    match = re.fullmatch(r"(\d\d)-([A-Z]{3})-(\d{4})", text)
    if match and match.group(2) in MONTHS:
        return datetime.date(int(match.group(3)), MONTHS.index(match.group(2)) + 1, int(match.group(1)))
    problem(f"{what} {text}")


def main():
    path, expected = sys.argv[1], json.load(open(sys.argv[2]))
    written = "--written" in sys.argv[3:]
    accepted = []
    for who, read in (("pyedflib", pyedflib_signals), ("edfio", edfio_signals)):
        try:
            result = read(path)
        except Exception as error:  # what a library refuses it says in many kinds of exception
            if written and not (who == "pyedflib" and open(path, "rb").read(197)[192:] == b"EDF+D"):
                problem(f"{who} refuses the file: {error}")
            continue
        accepted.append(who)
        signals = result[0] if who == "pyedflib" else result
        compare(who, signals, expected["channels"], written, expected.get("exact", True))
        if who == "pyedflib" and written and expected.get("start"):
            if result[1].strftime("%Y-%m-%d %H:%M:%S") != expected["start"]:
                problem(f"pyedflib: start {result[1]}")
            texts = list(result[2][2])
            for text in expected.get("annotations", []):
                if text not in texts:
                    problem(f"pyedflib: annotation {text!r} is missing")
    if not accepted:
        problem("neither pyedflib nor edfio reads the file")
    if written:
        strict(path)
    for text in problems:
        print("PROBLEM", text)
    print("checked by", ", ".join(accepted))
    sys.exit(1 if problems else 0)


main()
