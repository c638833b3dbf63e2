#!/usr/bin/env python3
"""Let pydicom, dciodvfy and dcmtk judge a DICOM waveform object.

usage: check_dicom.py FILE EXPECTED.json [--written]

EXPECTED.json: {"groups": [[{"name": ..., "unit": ..., "rate": [n, d], "scale": [n, d], "samples": [int or null, ...],
                             "code": "2:1" or null}]]}
--written: the file is ours, so the structure, the limits of its SOP class and its codes are checked, and dciodvfy must
report neither an error nor a warning (its exit status says nothing: lines are counted). dcmtk must send and receive it,
encode it anew without a change, and build a DICOMDIR from it.
Exit status 0: all agree.
"""
import json
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
import pydicom

BASE = "1.2.840.10008.5.1.4.1.1.9.1."
# PS3.3 A.34.3-A.34.5: groups, channels per group, channels in all, samples, rates.
LIMITS = {
    BASE + "1": (5, 13, 13, 16384, 200, 1000),
    BASE + "2": (4, 24, 96, None, 200, 1000),
    BASE + "3": (1, 12, 12, None, 50, 1000),
    # PS3.3 A.34.18. Neither dciodvfy nor dcmtk of this Debian knows it.
    BASE + "4": (4, 24, 96, None, 200, 1e9),
}
KNOWN = {BASE + "1", BASE + "2", BASE + "3"}
# CID 3001.
MEANINGS = {
    "2:1": "Lead I", "2:2": "Lead II", "2:61": "Lead III", "2:62": "aVR, augmented voltage, right",
    "2:63": "aVL, augmented voltage, left", "2:64": "aVF, augmented voltage, foot", "2:3": "Lead V1", "2:4": "Lead V2",
    "2:5": "Lead V3", "2:6": "Lead V4", "2:7": "Lead V5", "2:8": "Lead V6",
}
LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
TEXT_LIMITS = {b"SH": 16, b"LO": 64, b"CS": 16, b"DS": 16, b"IS": 12, b"UI": 64, b"DA": 8, b"TM": 16, b"DT": 26}
problems = []


def problem(text):
    problems.append(text)


def values(dataset, expected):
    if len(dataset.WaveformSequence) != len(expected):
        return problem(f"{len(dataset.WaveformSequence)} groups, expected {len(expected)}")
    for index, (group, want) in enumerate(zip(dataset.WaveformSequence, expected)):
        stored = np.asarray(pydicom.waveforms.multiplex_array(dataset, index, as_raw=True))
        physical = np.asarray(pydicom.waveforms.multiplex_array(dataset, index, as_raw=False))
        if stored.shape[1] != len(want):
            problem(f"group {index}: {stored.shape[1]} channels, expected {len(want)}")
            continue
        padding = None
        if "WaveformPaddingValue" in group:
            wide = group.WaveformBitsAllocated == 32
            padding = struct.unpack("<i" if wide else "<h", group.WaveformPaddingValue[:4 if wide else 2])[0]
        for k, channel in enumerate(want):
            name, samples = channel["name"], channel["samples"]
            if len(samples) != len(stored):
                problem(f"group {index} {name}: {len(stored)} samples, expected {len(samples)}")
                continue
            missing = np.array([s is None for s in samples], dtype=bool)
            if padding is not None and not np.array_equal(stored[:, k] == padding, missing):
                problem(f"group {index} {name}: missing samples differ")
            numbers = np.array([0 if s is None else s for s in samples], dtype=np.float64)
            top, bottom = channel["scale"]
            exact = numbers * top / bottom
            error = np.abs(physical[:, k] - exact)[~missing].max(initial=0)
            # pydicom computes in 32-bit floating point.
            if error > 1e-5 * max(1.0, float(np.abs(exact).max(initial=0))):
                problem(f"group {index} {name}: physical values differ by {error}")
            n, d = channel["rate"]
            if abs(float(group.SamplingFrequency) - n / d) > 1e-9 * n / d:
                problem(f"group {index} {name}: sampling frequency {group.SamplingFrequency}")
            definition = group.ChannelDefinitionSequence[k]
            code = definition.ChannelSourceSequence[0].CodeValue
            if channel.get("code") and code != channel["code"]:
                problem(f"group {index} {name}: source code {code}, expected {channel['code']}")
            if "ChannelSensitivityUnitsSequence" in definition:
                unit = definition.ChannelSensitivityUnitsSequence[0].CodeValue
                if unit != channel["unit"]:
                    problem(f"group {index} {name}: unit {unit}, expected {channel['unit']}")


def walk(data, position, end, path):
    """Explicit VR Little Endian from the bytes: ascending tags, even lengths, lengths that add up, text limits."""
    previous = -1
    while position < end:
        group, element = struct.unpack_from("<HH", data, position)
        tag = group << 16 | element
        where = f"{path}({group:04X},{element:04X})"
        if tag <= previous:
            problem(f"{where}: not in ascending order")
        previous = tag
        kind = data[position + 4:position + 6]
        if kind in LONG:
            if data[position + 6:position + 8] != b"\0\0":
                problem(f"{where}: reserved bytes")
            length, position = struct.unpack_from("<I", data, position + 8)[0], position + 12
        else:
            length, position = struct.unpack_from("<H", data, position + 6)[0], position + 8
        if length % 2:
            problem(f"{where}: odd length")
        if position + length > end:
            return problem(f"{where}: longer than what contains it")
        value = data[position:position + length]
        if kind == b"SQ":
            inner = 0
            while inner < length:
                mark, size = struct.unpack_from("<II", value, inner)
                if mark != 0xE000FFFE:
                    return problem(f"{where}: no item")
                walk(value, inner + 8, inner + 8 + size, where)
                inner += 8 + size
        elif kind in TEXT_LIMITS:
            for part in value.split(b"\\"):
                text = part.rstrip(b"\0" if kind == b"UI" else b" ").decode("utf-8")
                if len(text) > TEXT_LIMITS[kind]:
                    problem(f"{where}: {len(text)} characters in {kind.decode()}")
                if kind == b"UI" and not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", text):
                    problem(f"{where}: UID {text}")
                if kind == b"CS" and not re.fullmatch(r"[A-Z0-9_ ]*", text):
                    problem(f"{where}: code string {text}")
        elif kind == b"PN":
            for part in value.decode("utf-8").split("="):
                if len(part) > 64:
                    problem(f"{where}: a name of {len(part)} characters")
        position += length
    if position != end:
        problem(f"{path}: lengths don't add up")


def structure(path, dataset):
    data = open(path, "rb").read()
    if data[:128] != bytes(128) or data[128:132] != b"DICM":
        problem("preamble")
    length = struct.unpack_from("<I", data, 140)[0]
    walk(data, 132, 144 + length, "meta ")
    walk(data, 144 + length, len(data), "")
    meta = dataset.file_meta
    if meta.TransferSyntaxUID != "1.2.840.10008.1.2.1":
        problem("transfer syntax")
    if meta.MediaStorageSOPInstanceUID != dataset.SOPInstanceUID or meta.MediaStorageSOPClassUID != dataset.SOPClassUID:
        problem("group 0002 and data set differ")
    if not dataset.PatientID:
        problem("the patient ID is empty")
    if dataset.Modality != "ECG":
        problem("modality")


def limits(dataset):
    if dataset.SOPClassUID not in LIMITS:
        return problem(f"SOP class {dataset.SOPClassUID}")
    most_groups, per_group, in_all, samples, slow, fast = LIMITS[dataset.SOPClassUID]
    groups = dataset.WaveformSequence
    if len(groups) > most_groups or sum(g.NumberOfWaveformChannels for g in groups) > in_all:
        problem("too many groups or channels for the SOP class")
    for index, group in enumerate(groups):
        count = group.NumberOfWaveformChannels
        if count > per_group or count != len(group.ChannelDefinitionSequence):
            problem(f"group {index}: {count} channels")
        if samples and group.NumberOfWaveformSamples > samples:
            problem(f"group {index}: too many samples")
        if not slow <= float(group.SamplingFrequency) <= fast:
            problem(f"group {index}: {group.SamplingFrequency} Hz")
        kind = (group.WaveformBitsAllocated, group.WaveformSampleInterpretation)
        if kind != (16, "SS") and (kind != (32, "SL") or dataset.SOPClassUID in KNOWN):
            problem(f"group {index}: kind of samples")
        if len(group.WaveformData) != kind[0] // 8 * count * group.NumberOfWaveformSamples:
            problem(f"group {index}: length of the data")
        for definition in group.ChannelDefinitionSequence:
            source = definition.ChannelSourceSequence[0]
            if source.CodingSchemeDesignator != "MDC" or MEANINGS.get(source.CodeValue) != source.CodeMeaning:
                problem(f"group {index}: source {source.CodeValue} {source.CodeMeaning}")
            if ("ChannelSampleSkew" in definition) == ("ChannelTimeSkew" in definition):
                problem(f"group {index}: exactly one skew")


def identity(dataset, ins):
    """The INS stands in Other Patient IDs with the OID of its kind, and nowhere else."""
    items = dataset.get("OtherPatientIDsSequence", [])
    found = [(i.PatientID, i.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID,
              i.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityIDType) for i in items]
    if found != ([(ins["value"], ins["oid"], "ISO")] if ins else []):
        problem(f"other patient IDs are not the INS: {len(found)}")
    if ins and dataset.PatientID == ins["value"]:
        problem("the INS stands in the place of the patient ID")


def run(*command, cwd=None):
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, cwd=cwd)
    said = (result.stdout + result.stderr).strip()
    if result.returncode or re.search(r"^[EWF]: ", said, re.M):
        problem(f"{command[0]}: {said or result.returncode}")


def same(path, original, who):
    if not path.exists():
        return problem(f"{who}: no file")
    # Byte order is the file's, the values must be the same.
    other = pydicom.dcmread(path)
    for group in other.WaveformSequence:
        if not other.original_encoding[1]:
            size = "<i4" if group.WaveformBitsAllocated == 32 else "<i2"
            group.WaveformData = np.frombuffer(group.WaveformData, size.replace("<", ">")).astype(size).tobytes()
            group.WaveformPaddingValue = group.WaveformPaddingValue[::-1]
    if other.to_json_dict() != original.to_json_dict():
        problem(f"{who}: the object is not the same afterwards")


def dcmtk(path, dataset):
    """Over the network and back, into two other encodings and back, and into a DICOMDIR."""
    missing = [p for p in ("storescp", "storescu", "echoscu", "dcmconv", "dcmmkdir") if not shutil.which(p)]
    if missing:
        return problem(f"{', '.join(missing)} not installed (Debian package dcmtk)")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "in").mkdir()
        # A port that nobody has, taken again at once; another try where somebody was faster.
        for _ in range(5):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = str(probe.getsockname()[1])
            server = subprocess.Popen(["storescp", "-od", folder / "in", "-fe", ".dcm", port],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                deadline = time.monotonic() + 20
                up = False
                while server.poll() is None and not up and time.monotonic() < deadline:
                    up = subprocess.run(["echoscu", "-to", "5", "127.0.0.1", port], capture_output=True).returncode == 0
                if up:
                    run("storescu", "127.0.0.1", port, path)
                    break
            finally:
                # Not asked politely: whoever starts this with SIGTERM blocked passes that on to the server.
                server.kill()
                server.wait(20)
        else:
            problem("storescp did not start")
        received = list((folder / "in").iterdir())
        same(received[0] if received else folder / "none", dataset, "storescp")
        for name, option in (("implicit", "+ti"), ("big", "+tb")):
            run("dcmconv", option, path, folder / name)
            same(folder / name, dataset, f"dcmconv {option}")
            run("dcmconv", "+te", folder / name, folder / f"{name}-back")
            same(folder / f"{name}-back", dataset, f"dcmconv {option} and back")
        (folder / "medium").mkdir()
        shutil.copy(path, folder / "medium" / "ECG00001")
        profile = "-Pec" if dataset.SOPClassUID == BASE + "1" else "-Pgp"
        run("dcmmkdir", profile, "ECG00001", cwd=folder / "medium")
        index = folder / "medium" / "DICOMDIR"
        listed = [r.ReferencedSOPInstanceUIDInFile for r in pydicom.dcmread(index).DirectoryRecordSequence
                  if "ReferencedSOPInstanceUIDInFile" in r] if index.exists() else []
        if listed != [dataset.SOPInstanceUID]:
            problem(f"dcmmkdir listed {listed}")


def dciodvfy(path):
    program = shutil.which("dciodvfy")
    if not program:
        return problem("dciodvfy is not installed (Debian package dicom3tools)")
    result = subprocess.run([program, path], capture_output=True, text=True, errors="replace")
    lines = (result.stdout + result.stderr).splitlines()
    bad = [line for line in lines if line.startswith(("Error", "Warning")) or " - Warning - " in line]
    for line in bad:
        problem(f"dciodvfy: {line}")
    if not any("ECG" in line for line in lines):
        problem(f"dciodvfy did not recognise the object: {lines[:3]}")


def main():
    path, expected = sys.argv[1], json.load(open(sys.argv[2]))
    written = "--written" in sys.argv[3:]
    if written:
        pydicom.config.settings.reading_validation_mode = pydicom.config.RAISE
    dataset = pydicom.dcmread(path)
    str(dataset)  # makes pydicom look at every element
    values(dataset, expected["groups"])
    if written:
        structure(path, dataset)
        limits(dataset)
        identity(dataset, expected.get("ins"))
        if dataset.SOPClassUID in KNOWN:
            dciodvfy(path)
            dcmtk(path, pydicom.dcmread(path))
    for text in problems:
        print("PROBLEM", text)
    print("checked by pydicom" + (", dciodvfy, dcmtk" if written else ""))
    sys.exit(1 if problems else 0)


main()
