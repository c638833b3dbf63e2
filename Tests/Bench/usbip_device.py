"""A USB device of umockdev's test bed that lives in a USB/IP server: what the program under test submits through usbfs goes to
the server, and comes back. So the simulators of `ess-sim` are met by the real libusb.

Its one interface can be met where a real device of the same kind might have it (`ARRANGEMENTS`)."""

import errno
import os
import struct

import usb_device
import usbip

# GET_DESCRIPTOR of device, configuration, string.
DEVICE, CONFIGURATION, STRING = 1, 2, 3


# A boot keyboard (HID 1.11, appendix E.3, E.5), interface 0, on an endpoint that no simulator has.
KEYBOARD = bytes.fromhex("09 04 00 00 01 03 01 01 00  09 21 11 01 00 01 22 3f 00  07 05 8e 03 08 00 0a")


def behind_a_keyboard(head, body):
    """The device's interface is number 1."""
    return head[:4] + bytes([2]) + head[5:], KEYBOARD + body[:2] + bytes([1]) + body[3:]


def in_setting_1(head, body):
    """Setting 0 has no endpoints."""
    return head, body[:4] + bytes([0]) + body[5:9] + body[:3] + bytes([1]) + body[4:]


def keyboard_alone(head, _):
    return head, KEYBOARD


ARRANGEMENTS = {"behind-a-keyboard": behind_a_keyboard, "in-setting-1": in_setting_1, "keyboard-alone": keyboard_alone}


class UsbipDevice(usb_device.UsbDevice):
    def __init__(self, number, address, port, bus_id, arrangement=None):
        super().__init__(number)
        self.urbs = {}
        # The sequence number of an unlink request, and the one that it means.
        self.unlinking = {}
        self.device = usbip.Device(address, port, bus_id, gone=self.server_gone)
        self.descriptor = self.descriptor_of(DEVICE, 0, 18)
        head = self.descriptor_of(CONFIGURATION, 0, 9)
        self.configuration = self.descriptor_of(CONFIGURATION, 0, struct.unpack_from("<H", head, 2)[0])
        if arrangement:
            head, body = ARRANGEMENTS[arrangement](self.configuration[:9], self.configuration[9:])
            self.configuration = head[:2] + struct.pack("<H", 9 + len(body)) + head[4:] + body
        self.layout = usb_device.Layout(self.configuration)
        self.serial = self.descriptor_of(STRING, 3, 255)[2:].decode("utf-16-le")
        self.product = self.descriptor_of(STRING, 2, 255)[2:].decode("utf-16-le")
        # From here on every answer belongs to a transfer of the program's.
        self.device.done = self.answered

    def descriptor_of(self, kind, index, length):
        status, _, data = self.device.control(0x80, 6, kind << 8 | index, 0, length=length)
        assert status == 0, status
        return data

    def server_gone(self):
        self.pull()

    def pull(self):
        super().pull()
        self.device.close()

    def configure(self, value):
        self.log.append(f"configuration:{value}")
        self.claimed = dict.fromkeys(self.claimed, 0)
        sequence = self.device.submit(0, data=b"", setup=struct.pack("<BBHHH", 0, 9, max(value, 0), 0, 0))
        # Nobody waits for its answer; what follows comes behind it.
        self.urbs[sequence] = None
        return 0

    def submit(self, data):
        fields = usb_device.URB.unpack(bytes(data.retrieve()))
        length = fields[5]
        buffer = data.resolve(16, length) if length else None
        urb = usb_device.Urb(data, buffer, fields)
        self.pending.append(urb)
        content = bytes(buffer.retrieve()) if buffer else b""
        if urb.kind == 2:
            setup, rest = content[:8], content[8:]
            kind, code, value, index, size = struct.unpack("<BBHHH", setup)
            self.log.append(f"control:{kind:02x}:{code:02x}:{value:04x}:{index:04x}:{rest.hex() if kind < 0x80 else size}")
            sequence = self.device.submit(
                0, data=None if kind & 0x80 else rest[:size], length=size, setup=setup)
        elif urb.endpoint & 0x80:
            sequence = self.device.submit(urb.endpoint & 0x0F, length=urb.length)
        else:
            self.log.append(f"out:{urb.endpoint:02x}:{content.hex()}")
            sequence = self.device.submit(urb.endpoint, data=content)
        self.urbs[sequence] = urb
        return 0

    def answered(self, command, sequence, status, actual, data):
        with self.lock:
            if command == usbip.RET_UNLINK:
                # -ECONNRESET: it was taken back; else its answer is here already, or comes.
                urb = self.urbs.pop(self.unlinking.pop(sequence), None) if status else None
                if urb in self.pending:
                    self.finish(urb, -errno.ENOENT)
            else:
                urb = self.urbs.pop(sequence, None)
                if urb in self.pending:
                    if urb.kind == 2 and data:
                        urb.buffer.update(8, list(data))
                        data = b""
                    self.finish(urb, status, data, actual=actual)
            self.answer_reaping()

    def discard(self, argument):
        address = struct.unpack("@P", bytes(argument.retrieve())[:8])[0]
        for sequence, urb in self.urbs.items():
            if urb.data.client_addr == address and urb in self.pending:
                self.unlinking[self.device.unlink(sequence)] = sequence
                return 0
        return -errno.EINVAL


def plug(bed, root, number, address, port, bus_id, arrangement=None):
    """Adds the device to the test bed; answers its path in /sys, its node and its handler."""
    device = UsbipDevice(number, address, int(port), bus_id, arrangement)
    vendor, product = (f"{value:04x}" for value in struct.unpack_from("<HH", device.descriptor, 8))
    node = f"/dev/bus/usb/001/{number:03d}"
    path = bed.add_device(
        "usb",
        f"1-1.{number}",
        None,
        [
            *("idVendor", vendor, "idProduct", product, "serial", device.serial, "product", device.product),
            *("busnum", "1", "devnum", str(number), "bConfigurationValue", "1", "speed", "12"),
        ],
        [
            *("DEVTYPE", "usb_device", "BUSNUM", "001", "DEVNUM", f"{number:03d}", "ID_BUS", "usb"),
            *("ID_VENDOR_ID", vendor, "ID_MODEL_ID", product, "ID_SERIAL_SHORT", device.serial),
            *("ID_MODEL", device.product.replace(" ", "_"), "ID_USB_INTERFACES", device.layout.text),
            *("ID_PATH", f"platform-bench-usb-0:1.{number}"),
        ],
    )
    file = root + node
    os.makedirs(os.path.dirname(file), exist_ok=True)
    if os.path.lexists(file):
        os.unlink(file)
    with open(file, "wb") as output:
        output.write(device.descriptor + device.configuration)
    bed.attach_ioctl(node, device.handler)
    # Adding sent an event by itself; only now can the node be opened.
    bed.set_property(path, "DEVNAME", node)
    return path, node, device
