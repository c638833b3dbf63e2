"""`replay` on what an outsider would bring: captures of a whole bus, dumps. Each says the same as the transcript it was made from."""

import json
import os
import struct
import subprocess

import captures
import pytest
from bench import BIN, ROOT, Bench, CommandFailed

OMRON = ROOT / "fixtures/omron-pressure/foreign.transcript"
OXIMETER = ROOT / "fixtures/contec-oximeter/foreign-device-only.transcript"


@pytest.fixture(scope="module")
def tools():
    bench = Bench()
    yield bench
    bench.close()


@pytest.mark.parametrize("form", ["usbmon.pcapng", "usbmon.pcap", "usbpcap.pcapng", "usbmon.txt"])
def test_a_capture_of_the_bus(tools, tmp_path, form):
    found = list(captures.packets(OMRON, 0x0590, 0x0028))
    path = tmp_path / form
    content = {
        "usbmon.pcapng": lambda: captures.pcapng(found),
        "usbmon.pcap": lambda: captures.pcap(found),
        "usbpcap.pcapng": lambda: captures.pcapng(found, 249, captures.usbpcap),
        "usbmon.txt": lambda: captures.text(found).encode(),
    }[form]()
    path.write_bytes(content)
    expected = tools.tool("replay", "omron-pressure", OMRON, "--json")
    assert expected["recordings"], "nothing to compare"
    assert tools.tool("replay", "omron-pressure", path, "--json") == expected
    # Cut in the middle: what is there.
    path.write_bytes(content[:len(content) * 2 // 3])
    assert len(tools.tool("replay", "omron-pressure", path, "--json")["recordings"]) <= len(expected["recordings"])


def test_dumps_of_what_a_device_said(tools, tmp_path):
    expected = tools.tool("replay", "contec-oximeter", OXIMETER, "--json")
    said = captures.said(OXIMETER)
    dump, raw = tmp_path / "dump.txt", tmp_path / "said.bin"
    dump.write_text(captures.hexdump(said))
    raw.write_bytes(said)
    assert expected["recordings"]
    assert tools.tool("replay", "contec-oximeter", dump, "--json") == expected
    assert tools.tool("replay", "contec-oximeter", raw, "--raw", "--json") == expected
    pieces = [content for direction, _, content, _ in captures.events(OXIMETER) if direction == "<"]
    for text in (captures.od(said), captures.wireshark([said]), captures.wireshark(pieces)):
        dump.write_text(text)
        assert tools.tool("replay", "contec-oximeter", dump, "--json") == expected


@pytest.mark.parametrize("form", [captures.usblyzer, captures.snoopypro])
def test_reports_of_analysers(tools, tmp_path, form):
    path = tmp_path / "report"
    path.write_text(form(OMRON))
    expected = tools.tool("replay", "omron-pressure", OMRON, "--json")
    assert tools.tool("replay", "omron-pressure", path, "--json") == expected
    path.write_text(form(OMRON)[:20_000])
    assert len(tools.tool("replay", "omron-pressure", path, "--json")["recordings"]) <= len(expected["recordings"])


def test_packets_that_were_printed(tools, tmp_path):
    path = tmp_path / "printed.txt"
    path.write_text(captures.wireshark(captures.usbmon(p) for p in captures.packets(OMRON, 0x0590, 0x0028)))
    assert tools.tool("replay", "omron-pressure", path, "--json") == tools.tool(
        "replay", "omron-pressure", OMRON, "--json")


def test_readings_are_shown_as_text(tools):
    report = tools.tool("replay", "omron-pressure", OMRON, "--json")
    shown = tools.tool("replay", "omron-pressure", OMRON)
    lines = shown.splitlines()
    for reading in (reading for recording in report["recordings"] for reading in recording["readings"]):
        assert any(
            line.startswith(reading["name"]) and f"{reading['value']:g}" in line.split() and reading["at"] in line
            for line in lines), reading
    # A table of no channels says nothing.
    assert "SIGNAL" not in shown and "complet" in shown


def replay(driver, path):
    """(status, the report if one was printed, what was said about it)"""
    done = subprocess.run([BIN / "ess-agent", "replay", driver, path, "--json"], capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def test_two_monitors_are_two_reports(tools, tmp_path):
    path = tmp_path / "two.pcapng"
    found = list(captures.packets(OMRON, 0x0590, 0x0028))
    second = [(now + 60, 6 if device == 5 else device, *rest) for now, device, *rest in found]
    at_once = sorted(
        found + [(now + 0.0001, 6 if device == 5 else device, *rest) for now, device, *rest in found],
        key=lambda packet: packet[0])
    expected = tools.tool("replay", "omron-pressure", OMRON, "--json")["recordings"]
    for both in (found + second, at_once, [packet for packet in at_once if packet[2] != "C"]):
        path.write_bytes(captures.pcapng(both))
        report = tools.tool("replay", "omron-pressure", path, "--json")
        assert [report["recordings"], *(other["recordings"] for other in report["others"])] == [expected, expected]
        assert [report["from"][:16], report["others"][0]["from"][:16]] == ["bus 1, address 5", "bus 1, address 6"]


def test_what_is_cut_is_said(tools, tmp_path):
    ecg = ROOT / "fixtures/contec-8000/live.transcript"
    path = tmp_path / "cut"
    found = list(captures.packets(ecg, 0x0000, 0x0000))
    # Three records of the device in each transfer, of which the kernel shows a piece.
    for content in (captures.text(found).encode(), captures.pcapng(found, snap=64 + 32),
                    captures.pcapng(found, write=lambda packet: captures.usbmon(packet, most=32))):
        path.write_bytes(content)
        status, report, error = replay("contec-8000", path)
        cut = [surprise for surprise in report["surprises"] if "cut by the capture" in surprise["text"]]
        assert len(cut) == 1 and "at 32 bytes" in cut[0]["text"] and cut[0]["count"] > 0
        assert status == 0 or "cut by the capture" in error


def measured(report):
    return any(recording["readings"] or recording["samples"] or recording["bytes"] for recording in report["recordings"])


@pytest.mark.parametrize("write", [captures.pcap, captures.pcapng])
def test_a_capture_that_was_still_being_written(tools, tmp_path, write):
    path = tmp_path / "capture"
    found = list(captures.packets(OMRON, 0x0590, 0x0028))
    seen = set()
    for count in [*range(1, len(found), 7), len(found)]:
        # pcapng's last block is the statistics.
        content = write(found[:count])
        path.write_bytes(content)
        status, whole, _ = replay("omron-pressure", path)
        assert not [surprise for surprise in whole["surprises"] if "of the capture" in surprise["text"]]
        assert not [surprise for surprise in whole["surprises"] if "the capture is" in surprise["text"]]
        # A name alone is a report where the capture is whole.
        assert status == (0 if whole["recordings"] or whole.get("identity") else 65)
        path.write_bytes(content[:-5])
        status, report, error = replay("omron-pressure", path)
        cut = report["surprises"][0]
        assert "cut within a record at byte" in cut["text"] and cut["count"] == 1, cut
        assert status == (0 if measured(report) else 65), report
        assert status == 0 or "cut within a record" in error
        assert len(error.splitlines()) == (0 if status == 0 else 1)
        seen.add((status, bool(report.get("identity"))))
        shown = subprocess.run([BIN / "ess-agent", "replay", "omron-pressure", path], capture_output=True, text=True, timeout=60)
        assert shown.returncode == status and "cut within a record" in shown.stdout + shown.stderr
    assert {(0, True), (65, True), (65, False)} <= seen


def test_a_damaged_capture(tools, tmp_path):
    path = tmp_path / "capture"
    found = list(captures.packets(OMRON, 0x0590, 0x0028))
    expected = tools.tool("replay", "omron-pressure", OMRON, "--json")["recordings"]
    for content, head, place, wrong in (
            (captures.pcap(found), 24, 8, 0xFFFFFFFF), (captures.pcapng(found), 0, 4, 0), (captures.pcapng(found), 0, 4, 106)):
        # The record behind two thirds of the file has a length that is none.
        at = head
        while at < len(content) * 2 // 3:
            length, = struct.unpack_from("<I", content, at + place)
            at += length + (16 if head else 0)
        damaged = bytearray(content)
        struct.pack_into("<I", damaged, at + place, wrong)
        path.write_bytes(damaged)
        status, report, error = replay("omron-pressure", path)
        assert report["surprises"][0]["text"] == (
            f"the capture is damaged at byte {at}: the last {len(content) - at} bytes were not read")
        assert status == 0 and not error and 0 < len(report["recordings"]) < len(expected)
    # One block's inside: those behind it are read.
    content, at, number = bytearray(captures.pcapng(found)), 0, 0
    while number < len(found) // 2:
        at += struct.unpack_from("<I", content, at + 4)[0]
        number += 1
    struct.pack_into("<I", content, at + 20, 100_000)
    path.write_bytes(content)
    status, report, _ = replay("omron-pressure", path)
    assert status == (0 if measured(report) else 65) and report["surprises"][0] == {
        "text": "damaged records of the capture were stepped over", "count": 1}


def test_what_is_no_file_is_said_once(tools, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    named = os.fsencode(tmp_path) + b"/caf\xe9.pcap"
    with open(named, "wb") as file:
        file.write(captures.pcap(captures.packets(OMRON, 0x0590, 0x0028)))
    for arguments in (["replay", "omron-pressure"], ["decode"]):
        for path, word in ((tmp_path / "nothing", "No such file"), (fifo, "give a file"), (tmp_path, "give a file"),
                           (named, "no UTF-8")):
            done = subprocess.run([BIN / "ess-agent", *arguments, path], capture_output=True, text=True, timeout=60)
            assert done.returncode == 65 and not done.stdout
            assert len(done.stderr.splitlines()) == 1 and word in done.stderr, done.stderr
    large = tmp_path / "large"
    with open(large, "wb") as file:
        file.truncate((1 << 31) + 1)
    done = subprocess.run([BIN / "ess-agent", "replay", "omron-pressure", large], capture_output=True, text=True, timeout=60)
    assert done.returncode == 65 and "cut the capture" in done.stderr and len(done.stderr.splitlines()) == 1


def test_nothing_understood_is_said(tools, tmp_path):
    path = tmp_path / "capture.pcapng"
    found = list(captures.packets(OMRON, 0x0590, 0x0028))
    for driver, content, word in (
            ("contec-ecg90a", captures.pcapng(found), "0590:0028 (omron-pressure)"),
            ("omron-pressure", captures.pcapng([]), "no transfers"),
            ("omron-pressure", captures.pcapng(found[:2]), "nothing but control requests"),
            ("omron-pressure", captures.pcapng([p for p in found if p[1] == 9]), "address 9"),
            ("omron-pressure", b"", "empty")):
        path.write_bytes(content)
        status, report, error = replay(driver, path)
        assert status == 65 and word in error, (driver, word, error)
        assert report is None or not report["recordings"]


def test_what_is_none_of_it_is_said(tools, tmp_path):
    path = tmp_path / "wrong"
    said = captures.said(OXIMETER)
    for content, word in ((captures.pcapng([], 1), "USB"), (captures.pcapng([], 266), "macOS"), (b"hello\n", "line 1"),
                          (bytes(range(256)), "--raw"), (said + bytes(64), "--raw"), (b"\x1f\x8b\x08" + said, "unpack"),
                          ((ROOT / "fixtures/contec-ecg-files/card/ECG/0000001.ECG").read_bytes(), "ess-agent decode"),
                          (b"<html></html>\n", "USBlyzer"), (b"0000000 8006 8780\n", "od -Ax -tx1")):
        path.write_bytes(content)
        with pytest.raises(CommandFailed) as refused:
            tools.tool("replay", "omron-pressure", path, "--json")
        assert refused.value.status == 65 and word in refused.value.error
    path.write_bytes(captures.pcapng(captures.packets(OMRON, 0x0590, 0x0028)))
    with pytest.raises(CommandFailed) as refused:
        tools.tool("decode", path)
    assert refused.value.status == 65 and "ess-agent replay" in refused.value.error


def test_record_needs_a_place_first(tools, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(CommandFailed) as refused:
        # The port is not even looked at.
        tools.tool("record", tmp_path / "nothing", "--output", taken)
    assert refused.value.status == 65 and "taken" in refused.value.error and taken.read_text() == "mine"
    with pytest.raises(CommandFailed) as refused:
        tools.tool("record", tmp_path / "nothing", "--output", tmp_path / "new")
    assert "enregistré" not in refused.value.error and not (tmp_path / "new").exists()
