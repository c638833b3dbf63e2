"""The lossless ECG coder beside FLAC, zstd and xz on the same samples in the same run.

FLAC gets groups of eight and four channels (its most), without padding and seek table; zstd and xz get differences, zigzag, and
the bytes in planes. Ours is the sum of chunks of ten seconds as the store keeps them, each with its checksum."""

import glob
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

import table
from bench import BIN, SHARED

CODER = BIN / "ess-coder"
SETS = [
    ("12 leads, Georgia and Ningbo, 10 s at 500 Hz", "wfdb12/*.hea", 0.80),
    ("12 + 3 leads, PTB, 38 s at 1000 Hz", "wfdb/s0010_re.hea", 0.80),
    ("12 leads, Contec ECG90A, 10 s at 800 Hz", "contec/*.ECG", 0.80),
    ("2 leads, MIT-BIH 100, 30 min at 360 Hz", "wfdb/100.hea", 1.00),
    ("2 leads, CPSC2021, Holter at 200 Hz", "holter2/*.hea", 1.00),
]


def run(*command, data):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def flac(columns, rate):
    size = 0
    for start in range(0, len(columns), 8):
        group = columns[start:start + 8]
        samples = b"".join(struct.pack(f"<{len(group)}h", *frame) for frame in zip(*group))
        size += len(run("flac", "-8", "-s", "--no-padding", "--no-seektable", "--force-raw-format", "--endian=little",
                        "--sign=signed", f"--channels={len(group)}", "--bps=16", f"--sample-rate={rate}", "-c", "-",
                        data=samples))
    return size


def planes(columns):
    low, high = bytearray(), bytearray()
    for column in columns:
        last = 0
        for value in column:
            difference = (value - last + 0x8000) % 0x10000 - 0x8000
            last = value
            zigzag = (difference << 1 ^ difference >> 15) & 0xFFFF
            low.append(zigzag & 0xFF)
            high.append(zigzag >> 8)
    return bytes(low + high)


def bench():
    if not shutil.which("flac"):
        return table.row("ECG coder", "-", note="skipped: flac isn't installed (make bench installs it)")
    if not (SHARED / "data/ecg").is_dir():
        return table.row("ECG coder", "-", note="skipped: the records under ../shared/data/ecg aren't there")
    for what, pattern, bound in SETS:
        files = sorted(glob.glob(str(SHARED / "data/ecg" / pattern)))
        ours = whole = theirs = zstd = xz = samples = 0
        encode = decode = seconds = 0.0
        with tempfile.TemporaryDirectory() as raw:
            lines = subprocess.run([CODER, raw, *files], check=True, stdout=subprocess.PIPE, text=True).stdout
            for result in map(json.loads, lines.splitlines()):
                columns = []
                for lead in range(result["leads"]):
                    data = pathlib.Path(raw, f"{result['name']}.{lead}").read_bytes()
                    columns.append(struct.unpack(f"<{len(data) // 2}h", data))
                rate = round(len(columns[0]) / result["seconds"])
                theirs += flac(columns, rate)
                packed = planes(columns)
                zstd += len(run("zstd", "-19", "-q", "-c", data=packed))
                xz += len(run("xz", "-9e", "-c", data=packed))
                ours += result["chunkBytes"]
                whole += result["streamBytes"]
                samples += result["samples"]
                encode, decode = encode + result["encodeSeconds"], decode + result["decodeSeconds"]
                seconds += result["seconds"]
        bits = 8 / samples
        table.row(f"{what}: beside flac -8", ours * bits, "bits/sample", baseline=theirs * bits,
                  bound=f"<= {bound:.2f} of it", holds=ours <= bound * theirs, note=f"{len(files)} records; one stream: {whole * bits:.2f}")
        table.row(f"{what}: beside zstd -19 of delta planes", ours * bits, "bits/sample", baseline=zstd * bits)
        table.row(f"{what}: beside xz -9e of delta planes", ours * bits, "bits/sample", baseline=xz * bits,
                  note=f"encoding {seconds / encode:,.0f}, decoding {seconds / decode:,.0f} times real time")
    with tempfile.TemporaryDirectory() as raw:
        speeds = []
        for _ in range(3):
            line = subprocess.run([CODER, raw, "synthetic"], check=True, stdout=subprocess.PIPE, text=True).stdout
            result = json.loads(line)
            speeds.append((result["seconds"] / result["encodeSeconds"], result["seconds"] / result["decodeSeconds"]))
        encoded, decoded = max(speed[0] for speed in speeds), max(speed[1] for speed in speeds)
        note = f"processor time of one core, best of three; load {os.getloadavg()[0]:.1f}"
        table.row("encoding 12 leads at 1000 Hz", encoded, "times real time", bound=">= 200", holds=encoded >= 200, note=note)
        table.row("decoding 12 leads at 1000 Hz", decoded, "times real time", bound=">= 400", holds=decoded >= 400, note=note)
