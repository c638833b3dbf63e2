"""A USB/IP client (Documentation/usb/usbip_protocol of the Linux kernel), as a kernel with vhci-hcd is one: lists what a server
offers, imports a device, submits transfers and takes them back. It shares no code with the server."""

import socket
import struct
import threading

VERSION = 0x0111
SUBMIT, UNLINK, RET_SUBMIT, RET_UNLINK = 1, 2, 3, 4
OUT, IN = 0, 1
HEADER = struct.Struct(">IIIII")
DEVICE = struct.Struct(">256s32sIIIHHHBBBBBB")


class Refused(Exception):
    pass


def receive(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("the server closed the connection")
        data += more
    return data


def described(data):
    path, bus_id, bus, number, speed, vendor, product, version, *classes = DEVICE.unpack(data)
    return {
        "path": path.rstrip(b"\0").decode(), "bus_id": bus_id.rstrip(b"\0").decode(), "bus": bus, "number": number,
        "speed": speed, "vendor": vendor, "product": product, "version": version, "interfaces": classes[5],
    }


def devices(address, port):
    """OP_REQ_DEVLIST."""
    with socket.create_connection((address, port), 10) as connection:
        connection.sendall(struct.pack(">HHI", VERSION, 0x8005, 0))
        version, code, status = struct.unpack(">HHI", receive(connection, 8))
        assert (version, code, status) == (VERSION, 0x0005, 0), (version, code, status)
        found = []
        for _ in range(struct.unpack(">I", receive(connection, 4))[0]):
            device = described(receive(connection, DEVICE.size))
            device["classes"] = [receive(connection, 4)[:3].hex() for _ in range(device["interfaces"])]
            found.append(device)
        return found


class Device:
    """An imported device. `done(sequence, status, actual, data)` is called for each transfer that comes back, on a thread of
    its own; without it, `wait` returns them. `gone()` is called when the server ends."""

    def __init__(self, address, port, bus_id, done=None, gone=None):
        self.connection = socket.create_connection((address, port), 10)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.sendall(struct.pack(">HHI32s", VERSION, 0x8003, 0, bus_id.encode()))
        version, code, status = struct.unpack(">HHI", receive(self.connection, 8))
        assert (version, code) == (VERSION, 0x0003), (version, code)
        if status:
            self.connection.close()
            raise Refused(bus_id)
        self.about = described(receive(self.connection, DEVICE.size))
        self.connection.settimeout(None)
        self.id = self.about["bus"] << 16 | self.about["number"]
        self.sequence = 0
        self.inputs = {}
        self.results = {}
        self.arrived = threading.Condition()
        self.done, self.gone = done, gone
        threading.Thread(target=self.run, daemon=True).start()

    def submit(self, endpoint, data=None, length=0, setup=bytes(8)):
        """An IN transfer of at most `length` bytes, or an OUT transfer of `data`; returns its sequence number."""
        direction = IN if data is None else OUT
        with self.arrived:
            self.sequence += 1
            sequence = self.sequence
            self.inputs[sequence] = direction == IN
            size = length if direction == IN else len(data)
            message = HEADER.pack(SUBMIT, sequence, self.id, direction, endpoint) + struct.pack(
                ">IIIII8s", 0, size, 0, 0, 0, setup)
            self.connection.sendall(message + (data or b""))
        return sequence

    def unlink(self, sequence):
        with self.arrived:
            self.sequence += 1
            self.inputs[self.sequence] = False
            self.connection.sendall(
                HEADER.pack(UNLINK, self.sequence, self.id, 0, 0) + struct.pack(">I24x", sequence))
            return self.sequence

    def run(self):
        try:
            while True:
                command, sequence, *_ = HEADER.unpack(receive(self.connection, HEADER.size))
                status, actual, *_ = struct.unpack(">iI20x", receive(self.connection, 28))
                data = b""
                if command == RET_SUBMIT and self.inputs.get(sequence) and actual:
                    data = receive(self.connection, actual)
                self.inputs.pop(sequence, None)
                if self.done:
                    self.done(command, sequence, status, actual, data)
                    continue
                with self.arrived:
                    self.results[sequence] = (command, status, actual, data)
                    self.arrived.notify_all()
        except (OSError, ConnectionError):
            if self.gone:
                self.gone()
            with self.arrived:
                self.results = None
                self.arrived.notify_all()

    def wait(self, sequence, seconds=10):
        """(status, actual, data); an error when the server is gone."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.results is None or sequence in self.results, seconds), "no answer"
            if self.results is None:
                raise ConnectionError("the server closed the connection")
            return self.results.pop(sequence)[1:]

    def control(self, kind, code, value, index, data=None, length=0):
        size = length if data is None else len(data)
        setup = struct.pack("<BBHHH", kind, code, value, index, size)
        return self.wait(self.submit(0, data=data if kind < 0x80 else None, length=length, setup=setup))

    def close(self):
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.connection.close()
