"""A USB device that answers, for umockdev's test bed: usbfs as far as libusb needs it, over a device of the bench's own.

The device has three functions, which a test picks by their interface:

    interface 0   HID, interrupt IN 81 (8 bytes) and OUT 02
    interface 1   personal healthcare (0F), bulk IN 83 and OUT 04 (64 bytes)
    interface 2   HID, interrupt IN 85 only (8 bytes): reports come by SET_REPORT

With the product id 0004 it is malformed instead: its one interface (0F) announces two endpoints, and a class descriptor that is longer
than what is left. With 0005 it is composite, and its endpoints are not where one would look first:

    interface 0   a boot keyboard, interrupt IN 81
    interface 2   personal healthcare, described before interface 1: bulk IN 83 and OUT 04 in alternate setting 1, nothing in 0
    interface 1   HID: interrupt OUT 02 in setting 0, IN 85 in setting 1, IN 86 and OUT 06 in setting 2

0006 is a boot mouse and nothing else, 0007 is as 0005 and refuses to change its settings.

As in a kernel, an endpoint is there only in its own setting of an interface that was claimed, and a request to an interface that was
not is refused: another driver has it.

What it does: everything that is written comes back (by 81, 83 or 85); a write that begins with one of these bytes is an
order instead:

    F0 lo hi   sends so many reports or packets, numbered in their first two bytes, as fast as they are asked for
    F1         halts its IN endpoint until the halt is cleared; what is asked for meanwhile stalls
    F2         halts the OUT endpoint: the next write stalls
    F3         pulls the cable while whatever is asked for is pending
    F4 n       from now on another program uses a function of the device (n = 1), or not any more (n = 0)

Control: vendor request 01 IN answers with its value and a count; 7F stalls, 7E is never answered; everything else is accepted and kept.

Why the node is a plain file: libusb reads the descriptors from the node that it was given, and seeks in it, which no pty
allows. A plain file is always ready to be written, which libusb takes for "something has finished"; so that it doesn't
spin, an answer of "nothing yet" is held back for a few milliseconds.
"""

import errno
import os
import struct
import threading

from gi.repository import GLib, UMockdev

# struct usbdevfs_urb without iso packets: type, endpoint, status, flags, buffer, length, actual, …
URB = struct.Struct("@BBiIPiiiiiIP")
CONTROL = struct.Struct("@BBHHHIP")
HELD_BACK = 4  # milliseconds


def request(direction, number, size):
    return direction << 30 | size << 16 | ord("U") << 8 | number


NONE, WRITE, READ = 0, 1, 2
DO_CONTROL = request(READ | WRITE, 0, CONTROL.size)
RESET_ENDPOINT = request(READ, 3, 4)
SET_CONFIGURATION = request(READ, 5, 4)
SET_INTERFACE = request(READ, 4, 8)
GET_DRIVER = request(WRITE, 8, 260)
SUBMIT = request(READ, 10, URB.size)
DISCARD = request(NONE, 11, 0)
REAP = request(WRITE, 12, 8)
REAP_NOW = request(WRITE, 13, 8)
CLAIM = request(READ, 15, 4)
RELEASE = request(READ, 16, 4)
CONNECT_INFO = request(WRITE, 17, 8)
SUB_IOCTL = request(READ | WRITE, 18, 16)
RESET = request(NONE, 20, 0)
CLEAR_HALT = request(READ, 21, 4)
CAPABILITIES = request(READ, 26, 4)
DISCONNECT_CLAIM = request(READ, 27, 264)
GET_SPEED = request(NONE, 31, 0)

ZERO_PACKET = 0x40


class Layout:
    """What a configuration's descriptors say, as far as they can be followed."""

    def __init__(self, configuration=b""):
        self.interfaces = []
        # By endpoint: where it is, as (interface, setting).
        self.places = {}
        at, place = 0, None
        while at + 1 < len(configuration) and 2 <= configuration[at] <= len(configuration) - at:
            kind = configuration[at + 1]
            if kind == 4:
                place = (configuration[at + 2], configuration[at + 3])
                self.interfaces.append(configuration[at + 5:at + 8].hex())
            elif kind == 5:
                self.places.setdefault(configuration[at + 2], []).append(place)
            at += configuration[at]

    @property
    def text(self):
        """ID_USB_INTERFACES: udev writes each one once."""
        return f":{':'.join(dict.fromkeys(self.interfaces))}:"


def descriptors(vendor, product):
    def endpoint(address, kind, packet, interval):
        return struct.pack("<BBBBHB", 7, 5, address, kind, packet, interval)

    def interface(number, code, *endpoints, setting=0, boot=0):
        return bytes([9, 4, number, setting, len(endpoints), code, 1 if boot else 0, boot, 0]) + b"".join(endpoints)

    body = (
        interface(0, 3, endpoint(0x81, 3, 8, 1), endpoint(0x02, 3, 8, 1))
        + interface(1, 0x0F, endpoint(0x83, 2, 64, 0), endpoint(0x04, 2, 64, 0))
        + interface(2, 3, endpoint(0x85, 3, 8, 1))
    )
    count = 3
    if product == 0x0004:
        body = bytes([9, 4, 0, 0, 2, 0x0F, 0, 0, 0]) + bytes([0x20, 0x20, 2, 0])
        body += endpoint(0x83, 2, 64, 0) + endpoint(0x04, 2, 64, 0)
        count = 1
    if product in (0x0005, 0x0007):
        body = (
            interface(0, 3, endpoint(0x81, 3, 8, 1), boot=1)
            + interface(2, 0x0F)
            + interface(2, 0x0F, endpoint(0x83, 2, 64, 0), endpoint(0x04, 2, 64, 0), setting=1)
            + interface(1, 3, endpoint(0x02, 3, 8, 1))
            + interface(1, 3, endpoint(0x85, 3, 8, 1), setting=1)
            + interface(1, 3, endpoint(0x86, 3, 8, 1), endpoint(0x06, 3, 8, 1), setting=2)
        )
    if product == 0x0006:
        body = interface(0, 3, endpoint(0x81, 3, 8, 1), boot=2)
        count = 1
    device = struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x0200, 0, 0, 0, 64, vendor, product, 0x0100, 1, 2, 3, 1)
    return device + struct.pack("<BBHBBBBB", 9, 2, 9 + len(body), count, 1, 0, 0x80, 50) + body


class Urb:
    def __init__(self, data, buffer, fields):
        self.data = data
        self.buffer = buffer
        self.kind, self.endpoint, _, self.flags, _, self.length = fields[:6]


class UsbDevice:
    """Handles the ioctls of one node. All of it runs in the thread of GLib's main loop, but `pull`."""

    def __init__(self, number, configuration=b"", is_stubborn=False):
        self.number = number
        self.layout = Layout(configuration)
        self.is_stubborn = is_stubborn
        # The setting in force of each interface that the program has.
        self.claimed = {}
        self.handler = UMockdev.IoctlBase()
        self.handler.connect("handle-ioctl", self.handle)
        self.pending = []
        self.done = []
        # What is to be sent, by endpoint.
        self.outgoing = {0x81: [], 0x83: [], 0x85: [], 0x86: []}
        self.halted = set()
        self.gone = False
        self.in_use = False
        self.reaping = None
        self.lock = threading.RLock()
        self.log = []

    # What the test asks.

    def seen(self):
        with self.lock:
            log, self.log = self.log, []
        return " ".join(log) or "-"

    def pull(self):
        with self.lock:
            self.gone = True
            for urb in list(self.pending):
                self.finish(urb, -errno.ESHUTDOWN)
            self.answer_reaping()

    # usbfs.

    def handle(self, _, client):
        with self.lock:
            number = client.get_request() & 0xFFFFFFFF
            if self.gone and number not in (REAP, REAP_NOW):
                client.complete(-1, errno.ENODEV)
                return True
            try:
                result = self.execute(client, number)
            except Exception as error:  # a hole in this script must not hang the test
                self.log.append(f"failed:{type(error).__name__}:{error}".replace(" ", "_"))
                result = -errno.EIO
            if result is not None:
                client.complete(-1 if result < 0 else result, -result if result < 0 else 0)
            return True

    def execute(self, client, number):
        if number == SUBMIT:
            data = client.get_arg().resolve(0, URB.size)
            return self.refusal(data) or self.submit(data)
        if number in (REAP, REAP_NOW):
            return self.reap(client)
        if number == DISCARD:
            return self.discard(client.get_arg())
        if number == CAPABILITIES:
            # Zero packet, no packet size limit, reap after disconnect.
            client.get_arg().resolve(0, 4).update(0, list(struct.pack("@I", 0x01 | 0x04 | 0x10)))
            return 0
        if number == CONNECT_INFO:
            client.get_arg().resolve(0, 8).update(0, list(struct.pack("@IBxxx", self.number, 0)))
            return 0
        if number == DO_CONTROL:
            return self.control_now(client.get_arg().resolve(0, CONTROL.size))
        if number == SET_CONFIGURATION:
            value = struct.unpack("@i", bytes(client.get_arg().resolve(0, 4).retrieve()))[0]
            return self.configure(value)
        if number in (CLAIM, RELEASE, CLEAR_HALT, RESET_ENDPOINT):
            value = struct.unpack("@I", bytes(client.get_arg().resolve(0, 4).retrieve()))[0]
            name = {CLAIM: "claim", RELEASE: "release"}.get(number, "clear")
            self.log.append(f"{name}:{value:02x}")
            if number == CLAIM:
                self.claimed[value] = 0
            elif number == RELEASE:
                self.claimed.pop(value, None)
            else:
                self.halted.discard(value)
            return 0
        if number == DISCONNECT_CLAIM:
            interface = struct.unpack("@I", bytes(client.get_arg().resolve(0, 264).retrieve())[:4])[0]
            self.log.append(f"detach+claim:{interface:02x}")
            self.claimed[interface] = 0
            return 0
        if number == SUB_IOCTL:
            interface, code, _ = struct.unpack("@iiP", bytes(client.get_arg().resolve(0, 16).retrieve()))
            self.log.append(f"{ {22: 'detach', 23: 'attach'}.get(code & 0xFF, 'ioctl') }:{interface:02x}")
            return 0
        if number == SET_INTERFACE:
            interface, setting = struct.unpack("@II", bytes(client.get_arg().resolve(0, 8).retrieve()))
            self.log.append(f"setting:{interface:02x}:{setting}")
            if interface not in self.claimed:
                return -errno.EINVAL
            if self.is_stubborn:
                return -errno.EPIPE
            self.claimed[interface] = setting
            return 0
        if number == GET_DRIVER:
            return -errno.ENODATA
        if number == GET_SPEED:
            return 2
        if number == RESET:
            return 0
        self.log.append(f"unknown:{number:08x}")
        return -errno.ENOTTY

    def configure(self, value):
        """-1: none. As the kernel: nothing is pending any more, nothing halted."""
        self.log.append(f"configuration:{value}")
        if self.in_use:
            return -errno.EBUSY
        for endpoint in self.outgoing:
            self.outgoing[endpoint] = []
        self.halted.clear()
        self.claimed = dict.fromkeys(self.claimed, 0)
        return 0

    def refusal(self, data):
        kind, endpoint, _, _, _, length = URB.unpack(bytes(data.retrieve()))[:6]
        if kind != 2:
            places = self.layout.places.get(endpoint, [])
            if places and not any(self.claimed.get(interface) == setting for interface, setting in places):
                self.log.append(f"nowhere:{endpoint:02x}")
                return -errno.ENOENT
        elif length >= 8 and self.layout.places:
            setup = bytes(data.resolve(16, length).retrieve())[:8]
            if setup[0] & 0x1F == 1 and setup[4] not in self.claimed:
                self.log.append(f"another's:{setup[4]:02x}")
                return -errno.EBUSY
        return 0

    def submit(self, data):
        fields = URB.unpack(bytes(data.retrieve()))
        length = fields[5]
        buffer = data.resolve(16, length) if length else None
        urb = Urb(data, buffer, fields)
        self.pending.append(urb)
        if urb.kind == 2:
            self.control(urb)
        elif urb.endpoint & 0x80:
            self.deliver(urb.endpoint)
        elif urb.endpoint in self.halted:
            self.finish(urb, -errno.EPIPE)
        else:
            self.written(urb, bytes(buffer.retrieve()) if buffer else b"")
        self.answer_reaping()
        return 0

    def written(self, urb, content):
        if urb.flags & ZERO_PACKET:
            self.log.append("zlp")
        self.log.append(f"out:{urb.endpoint:02x}:{len(content)}")
        self.finish(urb, 0, actual=len(content))
        self.ordered(urb.endpoint, content)

    def ordered(self, endpoint, content):
        back = {0x02: 0x81, 0x04: 0x83, 0x06: 0x86, 0x00: 0x85}[endpoint]
        order = content[0] if content else 0
        if order == 0xF0:
            size = 8 if back != 0x83 else 64
            count = content[1] | content[2] << 8
            self.outgoing[back] += [struct.pack("<H", index) + bytes([0x5A] * (size - 2)) for index in range(count)]
        elif order == 0xF1:
            self.halted.add(back)
        elif order == 0xF2:
            self.halted.add(endpoint)
        elif order == 0xF3:
            self.pull()
            return
        elif order == 0xF4:
            self.in_use = content[1] == 1
        else:
            self.outgoing[back].append(content)
        self.deliver(back)

    def deliver(self, endpoint):
        for urb in [urb for urb in self.pending if urb.endpoint == endpoint and urb.kind != 2]:
            if endpoint in self.halted:
                self.finish(urb, -errno.EPIPE)
                # The rest of the queue waits, as in a real host controller.
                break
            if not self.outgoing[endpoint]:
                break
            content = self.outgoing[endpoint].pop(0)
            if len(content) > urb.length:
                self.finish(urb, -errno.EOVERFLOW)
            else:
                self.finish(urb, 0, content)

    def control(self, urb):
        content = bytes(urb.buffer.retrieve())
        kind, code, value, index, length = struct.unpack("<BBHHH", content[:8])
        self.log.append(f"control:{kind:02x}:{code:02x}:{value:04x}:{index:04x}:{content[8:].hex() if kind < 0x80 else length}")
        if code == 0x7F:
            self.finish(urb, -errno.EPIPE)
        elif code == 0x7E:
            pass  # never answered
        elif kind & 0x80:
            answer = (struct.pack("<H", value) + bytes(range(256)))[:length]
            urb.buffer.update(8, list(answer))
            self.finish(urb, 0, actual=len(answer))
        else:
            self.finish(urb, 0, actual=length)
            if (kind, code, value) == (0x21, 0x09, 0x0200) and self.layout.places.get(0x85, [(-1, 0)])[0][0] == index:
                self.ordered(0x00, content[8:])

    def control_now(self, data):
        """The ioctl that libusb uses while it opens: GET_CONFIGURATION."""
        kind, code, _, _, length, _, _ = CONTROL.unpack(bytes(data.retrieve()))
        if (kind, code) == (0x80, 0x08) and length:
            data.resolve(16, 1).update(0, [1])
            return 1
        return -errno.EPIPE

    def finish(self, urb, status, content=b"", actual=None):
        self.pending.remove(urb)
        if content:
            urb.buffer.update(0, list(content))
        urb.data.update(4, list(struct.pack("@i", status)))
        urb.data.update(28, list(struct.pack("@i", len(content) if actual is None else actual)))
        self.done.append(urb)

    def discard(self, argument):
        address = struct.unpack("@P", bytes(argument.retrieve())[:8])[0]
        for urb in self.pending:
            if urb.data.client_addr == address:
                self.finish(urb, -errno.ENOENT)
                self.answer_reaping()
                return 0
        return -errno.EINVAL

    def reap(self, client):
        if self.done or self.gone:
            self.answer(client)
            return None
        self.reaping = client
        GLib.timeout_add(HELD_BACK, self.tired, client)
        return None

    def tired(self, client):
        with self.lock:
            if self.reaping is client:
                self.reaping = None
                client.complete(-1, errno.EAGAIN)
        return False

    def answer_reaping(self):
        if self.reaping is not None and (self.done or self.gone):
            client, self.reaping = self.reaping, None
            self.answer(client)

    def answer(self, client):
        if not self.done:
            client.complete(-1, errno.ENODEV)
            return
        urb = self.done.pop(0)
        client.get_arg().resolve(0, 8).set_ptr(0, urb.data)
        client.complete(0, 0)


def plug(bed, root, number, vendor, product, serial):
    """Adds the device to the test bed; answers its path in /sys, its node and its handler."""
    content = descriptors(int(vendor, 16), int(product, 16))
    device = UsbDevice(number, content[18:], is_stubborn=product == "0007")
    name = f"1-1.{number}"
    node = f"/dev/bus/usb/001/{number:03d}"
    path = bed.add_device(
        "usb",
        name,
        None,
        [
            *("idVendor", vendor, "idProduct", product, "serial", serial, "product", "Bench device"),
            *("busnum", "1", "devnum", str(number), "bConfigurationValue", "1", "speed", "12"),
        ],
        [
            *("DEVTYPE", "usb_device", "BUSNUM", "001", "DEVNUM", f"{number:03d}", "ID_BUS", "usb"),
            *("ID_VENDOR_ID", vendor, "ID_MODEL_ID", product, "ID_SERIAL_SHORT", serial, "ID_MODEL", "Bench_device"),
            *("ID_USB_INTERFACES", device.layout.text, "ID_PATH", f"platform-bench-usb-0:1.{number}"),
        ],
    )
    file = root + node
    os.makedirs(os.path.dirname(file), exist_ok=True)
    if os.path.lexists(file):
        os.unlink(file)
    with open(file, "wb") as output:
        output.write(content)
    bed.attach_ioctl(node, device.handler)
    # Adding sent an event by itself; only now can the node be opened.
    bed.set_property(path, "DEVNAME", node)
    return path, node, device
