"""`ess-agent decode` over damaged files: cut, bits flipped, bytes overwritten, two files spliced, of every format. It shows what is
left or says what is wrong; it never dies of a signal, never hangs, never holds more memory than a bound that a length field
of the file could not have moved.

ESS_LONG: some thousand files instead of some hundred. ESS_SEED: another sequence."""

import collections
import concurrent.futures
import os
import random
import resource
import subprocess
import time

import pytest
from bench import BIN, LONG, ROOT, SHARED

# Of address space, for the Swift runtime's own mappings and the largest decoded file; a file's length fields ask for up to 4 GiB.
MEMORY = 1536 << 20
# A file takes some hundredths of a second; a hundred times that on a machine that compiles beside it. What hangs never ends.
SECONDS = 60
ROUNDS = 120 if LONG else 7
FORMATS = {
    "contec-ecg": ["fixtures/formats/contec.ECG"],
    "contec-spo2": ["fixtures/oximeter-files/night.SpO2"],
    "choicemmed": ["fixtures/oximeter-files/night.dat"],
    "dicom": ["fixtures/formats/ecg.dcm", "fixtures/formats/ecg-big-endian.dcm", "fixtures/formats/ecg-deflated.dcm"],
    "edf": ["fixtures/formats/oximetry.edf", "fixtures/resmed-card/card/DATALOG/20261122/20261122_223057_EVE.edf"]
    # 81 signals: a second of processor time each in a debug build.
    + (["fixtures/resmed-card/card/STR.edf"] if LONG else []),
    "scp": ["fixtures/formats/ecg.scp"],
    "aecg": ["fixtures/formats/aecg.xml"],
    "wfdb": ["fixtures/formats/tiny.hea"],
    "easy-ecg": ["fixtures/easy-ecg-files"],
}
# Real files, when they lie beside the project: a report, an image, other makers' records.
REAL = {"dicom": ["data/echo/stickA/DICOM/SR000001", "data/echo/US_implicit_le.dcm"], "scp": ["data/scp/welchallyn_1.scp"],
        "edf": ["data/sleep/short_psg.edf"], "aecg": ["data/aecg/subject1_0.xml"]}


def seeds(kind):
    found = [ROOT / name for name in FORMATS[kind]] + [SHARED / name for name in REAL.get(kind, [])]
    files = [file for path in found for file in ([path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()))]
    assert files, f"the fixtures of {kind} are gone"
    return [file.read_bytes() for file in files if file.stat().st_size < 8 << 20]


def damaged(choice, whole, others):
    """One file, damaged once. Headers come first, so the front is hit more often than the rest."""
    bytes = bytearray(whole)

    def place():
        return choice.randrange(len(bytes) if choice.random() < 0.5 else min(len(bytes), 600))

    how = choice.randrange(5)
    if how == 0:
        return "cut", bytes[:place()]
    if how == 1:
        for _ in range(choice.randint(1, 12)):
            bytes[place()] ^= 1 << choice.randrange(8)
        return "flipped", bytes
    if how == 2:
        start = place()
        length = choice.randint(1, 8)
        bytes[start:start + length] = bytes_of(choice, length)
        return "overwritten", bytes
    if how == 3:
        other = choice.choice(others)
        return "spliced", bytes[:place()] + other[choice.randrange(len(other)):]
    # Numbers written in letters, so that a text header asks for the impossible.
    digits = [i for i, byte in enumerate(bytes[:4096]) if 0x30 <= byte <= 0x39] or [0]
    for _ in range(choice.randint(1, 4)):
        bytes[choice.choice(digits)] = choice.choice(b"0123456789-")
    return "numbers", bytes


def bytes_of(choice, length):
    return bytes([choice.choice((0, 0x20, 0x7F, 0x80, 0xFE, 0xFF))] * length)


def decode(path):
    """Exit status, what it said, seconds."""
    begun = time.monotonic()
    done = subprocess.run(
        [BIN / "ess-agent", "decode", path, "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, errors="replace", timeout=SECONDS,
        env=os.environ | {"SWIFT_BACKTRACE": "enable=no"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)))
    return done.returncode, done.stderr, time.monotonic() - begun


def judge(path):
    try:
        status, error, seconds = decode(path)
    except subprocess.TimeoutExpired:
        return f"it hung for {SECONDS} s", None, SECONDS
    if status not in (0, 65):
        return f"exit {status}: {error[-400:]}", status, seconds
    if status == 65 and len(error) < 20:
        return f"it doesn't say what is wrong: {error!r}", status, seconds
    return None, status, seconds


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_is_said_and_survived(kind, tmp_path):
    seed = int(os.environ.get("ESS_SEED", "20261122"))
    choice = random.Random(f"{seed} {kind}")
    originals = seeds(kind)
    paths = []
    for number, whole in enumerate(originals):
        # Few files share the rounds of many, so that no format costs more than another.
        for turn in range(max(2, ROUNDS * 2 // len(originals))):
            how, content = damaged(choice, whole, originals)
            folder = tmp_path / f"{number}-{turn}-{how}"
            folder.mkdir()
            paths.append(folder / "file")
            paths[-1].write_bytes(content)
            if kind == "wfdb":
                # The signal file that the header names, sometimes damaged as well.
                (folder / "tiny.dat").write_bytes((ROOT / "fixtures/formats/tiny.dat").read_bytes()[choice.choice((0, 0, 7)):])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(judge, paths))
    bad = [f"{path}: {problem}" for path, (problem, _, _) in zip(paths, verdicts) if problem]
    assert not bad, f"ESS_SEED={seed}\n" + "\n".join(bad)
    ends = collections.Counter(status for _, status, _ in verdicts)
    print(f"{kind}: {len(paths)} files, exits {dict(ends)}, slowest {max(seconds for _, _, seconds in verdicts):.2f} s")
    assert ends[65], "nothing was damaged enough to be refused: the loop tests nothing"


def test_whole_files_fit_below_the_bound(tmp_path):
    """The bound refuses no sound file."""
    for kind in FORMATS:
        for number, content in enumerate(seeds(kind)):
            path = tmp_path / f"{kind}-{number}"
            path.write_bytes(content)
            if kind == "wfdb":
                (tmp_path / "tiny.dat").write_bytes((ROOT / "fixtures/formats/tiny.dat").read_bytes())
            problem, _, _ = judge(path)
            assert problem is None, f"{path}: {problem}"
