"""`ess-sim usbip` from outside, as a kernel with vhci-hcd meets it: descriptors, control requests, interrupt and bulk transfers,
transfers that are taken back, the end. The client (Tests/Bench/usbip.py) shares no code with the server."""

import pathlib
import socket
import struct
import subprocess
import sys

import pytest
from bench import BIN, ROOT

sys.path.insert(0, str(ROOT / "Tests/Bench"))
import usbip  # noqa: E402


class Server:
    def __init__(self, *devices):
        self.process = subprocess.Popen(
            [BIN / "ess-sim", "usbip", "--port", "0", *devices], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split(":")[-1])
        self.bus_ids = [self.process.stdout.readline().split()[0] for _ in devices]

    def devices(self):
        return usbip.devices("127.0.0.1", self.port)

    def attach(self, index=0, **handlers):
        return usbip.Device("127.0.0.1", self.port, self.bus_ids[index], **handlers)

    def close(self):
        self.process.terminate()
        assert self.process.wait(10) == 0


@pytest.fixture
def server(request):
    server = Server(*request.param)
    yield server
    server.close()


def served(*devices):
    return pytest.mark.parametrize("server", [devices], indirect=True, ids=["+".join(devices)])


@served("omron-pressure", "contec-ecg90a", "phdc:scale", "contec-oximeter", "beurer-pressure")
def test_list_and_descriptors(server):
    found = server.devices()
    assert [(f"{d['vendor']:04x}:{d['product']:04x}", d["classes"]) for d in found] == [
        ("0590:0028", ["030000"]), ("0483:5750", ["030000"]), ("1209:2061", ["0f0000"]), ("10c4:ea60", ["ff0000"]),
        ("0c45:7406", ["030000"])]
    assert [d["bus_id"] for d in found] == server.bus_ids and all(d["speed"] == 2 for d in found)
    for index, about in enumerate(found):
        device = server.attach(index)
        status, _, descriptor = device.control(0x80, 6, 0x0100, 0, length=64)
        assert status == 0 and len(descriptor) == 18
        assert struct.unpack_from("<HH", descriptor, 8) == (about["vendor"], about["product"])
        status, _, head = device.control(0x80, 6, 0x0200, 0, length=9)
        total = struct.unpack_from("<H", head, 2)[0]
        status, actual, whole = device.control(0x80, 6, 0x0200, 0, length=4096)
        assert (status, actual) == (0, total) and whole[:9] == head
        # Every descriptor has a length that leads to the next one, and the last one ends where the total says.
        at, endpoints = 0, []
        while at < total:
            assert whole[at] >= 2
            if whole[at + 1] == 5:
                endpoints.append(whole[at + 2])
            at += whole[at]
        assert at == total and any(e & 0x80 for e in endpoints)
        assert device.control(0x00, 9, 1, 0, data=b"")[0] == 0
        assert device.control(0x80, 8, 0, 0, length=1) == (0, 1, b"\x01")
        serial = device.control(0x80, 6, 0x0303, 0x0409, length=255)[2][2:].decode("utf-16-le")
        assert serial == f"SIM000{index + 1}"
        # A string that is not there, and a request that nobody knows: a stall, and the device goes on.
        assert device.control(0x80, 6, 0x0309, 0x0409, length=255)[0] == -32
        assert device.control(0xC3, 0x55, 0, 0, length=4)[0] == -32
        assert device.control(0x80, 6, 0x0100, 0, length=18)[2] == descriptor
        with pytest.raises(usbip.Refused):
            server.attach(index)
        device.close()
    with pytest.raises(usbip.Refused):
        usbip.Device("127.0.0.1", server.port, "9-9")


@served("omron-pressure")
def test_an_omron_answers_as_the_notes_say(server):
    device = server.attach()
    report = device.control(0x81, 6, 0x2200, 0, length=255)[2]
    assert report[:3] == b"\x06\x00\xff" and report[-1] == 0xC0
    assert device.control(0x21, 9, 0x0300, 0, data=b"\x01\x01")[0] == 0

    def write(text):
        status, actual, _ = device.wait(device.submit(2, data=bytes.fromhex(text)))
        assert (status, actual) == (0, 8)

    def read():
        status, _, data = device.wait(device.submit(1, length=8))
        assert status == 0 and len(data) == 8
        return data[1:1 + min(data[0], 7)]

    def clear():
        for _ in range(4):
            write("0700000000000000")
        write("0200000000000000")

    # The first block meets silence, as the first contact of a real one may.
    clear()
    waiting = device.submit(1, length=8)
    clear()
    status, _, data = device.wait(waiting)
    assert status == 0
    while data[:3] != b"\x02OK":
        if data[0] == 8:  # garbage after a mode change: once more
            clear()
        status, _, data = device.wait(device.submit(1, length=8))
    write("0556455230300000")
    version = b""
    while len(version) < 15:
        version += read()
    # "VER00": OK, 00, the text, and a XOR that makes everything behind OK zero.
    xor = 0
    for byte in version[2:]:
        xor ^= byte
    assert version[:-1].replace(b"\0", b"") == b"OKM7080IT 207" and xor == 0
    device.close()


@served("contec-ecg90a")
def test_a_stream_with_many_transfers_in_flight_and_its_end(server):
    device = server.attach()

    def order(text):
        assert device.wait(device.submit(2, data=bytes.fromhex(text).ljust(8, b"\0")))[0] == 0

    order("82")
    status, actual, data = device.wait(device.submit(1, length=64))
    assert (status, actual) == (0, 64) and data[3:9] == b"ECG90A"
    for text in ("91", "93", "a101"):
        order(text)
        assert device.wait(device.submit(1, length=64))[0] == 0
    flight = [device.submit(1, length=64) for _ in range(8)]
    order("9000")
    for _ in range(160):
        status, actual, data = device.wait(flight.pop(0))
        assert (status, actual, data[0]) == (0, 64, 0xE0)
        flight.append(device.submit(1, length=64))
    # Seen from outside: V6 of the third sample is what the frame's layout says.
    frame = data[1 + 24:1 + 36]
    v6 = (frame[9] >> 4) << 8 | frame[11]
    assert 1500 < v6 < 2600
    # An order for too little room is an overflow, and nothing else is disturbed.
    for sequence in flight:
        device.wait(sequence)
    assert device.wait(device.submit(1, length=8))[0] == -75
    order("91")
    while device.wait(device.submit(1, length=64))[2][0] == 0xE0:
        pass
    # Taken back: the unlink says so, and the transfer itself never comes.
    pending = device.submit(1, length=64)
    assert device.wait(device.unlink(pending))[0] == -104
    assert device.results == {}
    assert device.wait(device.unlink(pending))[0] == 0
    # Endpoints that are not there.
    assert device.wait(device.submit(5, length=64))[0] == -32
    device.close()


@served("contec-oximeter", "contec-legacy")
def test_serial_devices_behind_a_bridge(server):
    device = server.attach()
    # What the kernel's cp210x driver does first: part number, interface on, line settings.
    assert device.control(0xC0, 0xFF, 0x370B, 0, length=1) == (0, 1, b"\x02")
    assert device.control(0x41, 0x00, 1, 0, data=b"")[0] == 0
    assert device.control(0x41, 0x1E, 0, 0, data=struct.pack("<I", 115200))[0] == 0
    assert device.wait(device.submit(1, data=bytes.fromhex("7D81A0808080808080")))[:2] == (0, 9)
    assert device.wait(device.submit(2, length=256))[2] == bytes.fromhex("06808087")
    legacy = server.attach(1)
    heard = b""
    while len(heard) < 60:
        heard += legacy.wait(legacy.submit(2, length=64))[2]
    # It streams by itself: of five bytes only the first has bit 7.
    start = next(i for i, byte in enumerate(heard) if byte & 0x80)
    frames = [heard[i:i + 5] for i in range(start, len(heard) - 5, 5)]
    assert all(frame[0] & 0x80 and not any(byte & 0x80 for byte in frame[1:]) for frame in frames)
    legacy.close()
    device.close()


@served("phdc:scale")
def test_a_device_that_was_pulled_is_new_when_it_comes_back(server):
    for _ in range(2):
        device = server.attach()
        status, _, data = device.wait(device.submit(1, length=16384))
        # It associates by itself (phdc.md 4.2).
        assert status == 0 and data[:2] == b"\xe2\x00"
        device.close()
        # The server sees the end of the connection before it lets the next one in.
        for _ in range(200):
            try:
                again = server.attach()
                again.close()
                break
            except usbip.Refused:
                continue


@served("omron-pressure")
def test_nonsense_ends_the_connection_and_nothing_else(server):
    for nonsense in (b"\xff" * 64, struct.pack(">HHI", 0x0111, 0x7777, 0), struct.pack(">HHI", 0x0100, 0x8005, 0)):
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.sendall(nonsense)
            connection.settimeout(10)
            try:
                assert connection.recv(64) == b""
            except ConnectionResetError:
                pass
    device = server.attach()
    # A length that no transfer has.
    device.connection.sendall(usbip.HEADER.pack(1, 99, device.id, 0, 2) + struct.pack(">IIIII8s", 0, 0x7FFFFFFF, 0, 0, 0, bytes(8)))
    with pytest.raises(ConnectionError):
        device.wait(99)
    assert len(server.devices()) == 1


def test_what_can_be_played_is_listed_and_what_cannot_is_refused():
    text = subprocess.run([BIN / "ess-sim", "list"], capture_output=True, text=True, check=True).stdout
    for driver in ("contec-legacy", "contec-oximeter", "omron-pressure", "beurer-pressure", "contec-ecg90a", "contec-8000", "phdc"):
        assert f"{driver}: " in text
    assert "+falls-silent" in text and "+damaged-header" in text
    for wrong in (["play", "phdc"], ["usbip", "nobody"], ["usbip", "phdc:toaster"], ["usbip", "omron-pressure+melts"]):
        done = subprocess.run([BIN / "ess-sim", *wrong], capture_output=True, text=True, timeout=20)
        assert done.returncode == 64, wrong
