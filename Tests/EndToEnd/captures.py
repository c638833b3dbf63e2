"""Writes a transcript as other programs would have captured it: nothing here is shared with the agent's readers.

pcapng and pcap with Linux' usbmon header, with USBPcap's, the kernel's usbmon as text, the reports of USBlyzer and SnoopyPro,
hexadecimal dumps as several programs print them."""

import struct


def events(transcript):
    """(direction, endpoint, bytes, seconds since the last one) of each line that moves bytes."""
    for line in transcript.read_text().splitlines():
        if not line or line[0] not in "<>":
            continue
        words = line[1:].split()
        after = float(words.pop()[1:]) if words[-1].startswith("+") else 0.0
        yield line[0], int(words[0], 16), bytes.fromhex("".join(words[1:])), after


def packets(transcript, vendor, product, device=5):
    """Transfers as a bus would show them, a device descriptor first; another device of the bus talks in between."""
    descriptor = struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x0200, 0, 0, 0, 64, vendor, product, 0x0100, 1, 2, 3, 1)
    now = 1000.0
    yield now, device, "C", 0x80, "S", b"\x80\x06\x00\x01\x00\x00\x12\x00", b""
    yield now, device, "C", 0x80, "C", None, descriptor
    for number, (direction, endpoint, content, after) in enumerate(events(transcript)):
        now += after
        if number % 3 == 0:
            yield now, 9, "B", 0x81, "C", None, bytes(512)
        if direction == ">":
            yield now, device, "I", endpoint & 0x0F, "S", None, content
            yield now, device, "I", endpoint & 0x0F, "C", None, b""
        else:
            yield now, device, "I", endpoint | 0x80, "S", None, b""
            yield now, device, "I", endpoint | 0x80, "C", None, content


KIND = {"I": 1, "C": 2, "B": 3}


def usbmon(packet, header=64, most=None):
    """With at most so many bytes of each transfer, as the kernel does when its buffer is small."""
    now, device, kind, endpoint, event, setup, content = packet
    seconds, fraction = int(now), int(round(now % 1 * 1e6))
    head = struct.pack(
        "<QcBBBHBBqiiII8s", 0xFFFF8801A2B3C4D0, event.encode(), KIND[kind], endpoint, device, 1,
        0 if setup else 0x2D, 0 if content else 0x3C, seconds, fraction, 0 if event == "C" else -115, len(content),
        len(content[:most]), setup or bytes(8))
    return head + bytes(header - len(head)) + content[:most]


def usbpcap(packet):
    now, device, kind, endpoint, event, setup, content = packet
    content = (setup or b"") + content
    stage = bytes([0 if event == "S" else 3]) if kind == "C" else b""
    head = struct.pack("<QIHBHHBBI", 1, 0, 9, 1 if event == "C" else 0, 1, device, endpoint, KIND[kind], len(content))
    return struct.pack("<H", 2 + len(head) + len(stage)) + head + stage + content


def pcapng(found, link=220, write=usbmon, snap=None):
    def block(kind, body):
        body += bytes(-len(body) % 4)
        length = struct.pack("<I", 12 + len(body))
        return struct.pack("<I", kind) + length + body + length

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack("<HHI", link, 0, 0x40000) + struct.pack("<HHB3xHH", 9, 1, 9, 0, 0))
    for packet in found:
        content = write(packet)
        time = int(round(packet[0] * 1e9))
        shown = content[:snap]
        out += block(6, struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(shown), len(content)) + shown)
    # Statistics, as Wireshark writes them at the end.
    return out + block(5, struct.pack("<III", 0, 0, 0))


def pcap(found):
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, 189)
    for packet in found:
        content = usbmon(packet, header=48)
        out += struct.pack("<IIII", int(packet[0]), int(round(packet[0] % 1 * 1e6)), len(content), len(content)) + content
    return out


def text(found):
    lines = []
    for now, device, kind, endpoint, event, setup, content in found:
        direction = "i" if endpoint & 0x80 else "o"
        head = f"ffff8801a2b3c4d0 {int(round(now * 1e6)) % 2**32} {event} {kind}{direction}:1:{device:03d}:{endpoint & 0x0F}"
        # The kernel shows no more.
        shown = content[:32]
        words = " ".join(shown[at:at + 4].hex() for at in range(0, len(shown), 4))
        if setup:
            fields = struct.unpack("<BBHHH", setup)
            status = "s {:02x} {:02x} {:04x} {:04x} {:04x}".format(*fields)
        else:
            status = "-115:1" if event == "S" else "0:1"
        lines.append(f"{head} {status} {len(content)}" + (f" = {words}" if content else " <" if event == "S" else " >"))
    return "\n".join(lines) + "\n"


def said(transcript):
    return b"".join(content for direction, _, content, _ in events(transcript) if direction == "<")


def hexdump(content):
    """hexdump -C"""
    lines = []
    for at in range(0, len(content), 16):
        row = content[at:at + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        pairs = " ".join(f"{byte:02x}" for byte in row[:8]) + "  " + " ".join(f"{byte:02x}" for byte in row[8:])
        lines.append(f"{at:08x}  {pairs:<49} |{shown}|")
    return "\n".join(lines) + f"\n{len(content):08x}\n"


def wireshark(pieces):
    """Copy as Hex Dump, one packet after another."""
    lines = []
    for content in pieces:
        for at in range(0, len(content), 16):
            row = content[at:at + 16]
            shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
            lines.append(f"{at:04x}   {row.hex(' '):<47}   {shown}")
        lines.append("")
    return "\n".join(lines) + "\n"


def od(content):
    """od -Ax -tx1, which says `*` for what comes again."""
    lines, last = [], None
    for at in range(0, len(content), 16):
        row = content[at:at + 16]
        if row == last and len(row) == 16:
            if lines[-1] != "*":
                lines.append("*")
            continue
        lines.append(f"{at:06x} {row.hex(' ')}")
        last = row
    return "\n".join(lines) + f"\n{len(content):06x}\n"


COLUMNS = ["Type", "Seq", "Time", "Request", "Request Details", "Raw Data", "I/O", "C:I:E", "Device Object", "Device Name",
           "Driver Name", "IRP", "Status"]


def usblyzer(transcript):
    """The report as HTML: each transfer once at each driver of the stack, as asked for and as done."""
    stack = [("86478398h", "", "hhdusbh"), ("84687B50h", "00000090", "ACPI"), ("845499C0h", "USBPDO-11", "usbhub")]
    rows, number, now = [["START", "0001", "16:21:33.578"] + [""] * 10], 1, 0.0

    def row(request, details, raw, direction, place, level, status, of=None):
        nonlocal number
        number += 1
        time = f"16:{21 + int(now) // 60:02d}:{now % 60:06.3f}"
        seq = f"{number:04d}" + (f"-{of:04d}" if of else "")
        rows.append(["URB", seq, time, request, details, raw, direction, place, *level, "84673008h", status])
        return number

    for direction, endpoint, content, after in events(transcript):
        now += after
        raw, count = content.hex(" ").upper(), len(content)
        if endpoint & 0x0F == 0:
            if content[:2] != b"\x21\x09":
                continue
            raw, count = content[8:].hex(" ").upper(), len(content) - 8
            details = f"Set Report ({'Output' if content[3] == 2 else 'Feature'} len:{count})"
            asked = [row("Class Interface", details, raw, "out", "", level, "") for level in stack]
            for level, of in reversed(list(zip(stack, asked))):
                row("Control Transfer", details, "", "out", "--:--:00", level, "Success (Success)", of)
            continue
        out = direction == ">"
        kind, place = "Bulk or Interrupt Transfer", f"01:00:{endpoint | (0 if out else 0x80):02X}"
        buffer, report = f"{count} bytes buffer", f"{'Output' if out else 'Input'} Report len:{count}"
        side = "out" if out else "in"
        asked = [row(kind, report if out else buffer, raw if out else "", side, place, level, "") for level in stack]
        for level, of in reversed(list(zip(stack, asked))):
            row(kind, buffer if out else report, "" if out else raw, side, place, level, "Success (Success)", of)
    table = "".join(
        "<tr>\n" + "".join(f"<td>{cell}</td>\n" for cell in cells) + "</tr>\n\n" for cells in rows)
    head = "<tr>\n" + "".join(f"<th>{name}</th>\n" for name in COLUMNS) + "</tr>\n\n"
    return ('<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML//EN">\n<html><head><title>USBlyzer  Report</title>\n'
            "<style type=text/css>\ntd {\n\tpadding: 1px 2px;\n\t}\n</style>\n</head>\n\n<body>\n\n"
            f"<p><b>Capture List</b> \n\n<table>\n{head}{table}</table>\n</body></html>\n")


def snoopypro(transcript):
    """The log as XML: each transfer twice under the same number, its bytes in one of the two."""
    urbs, now = [], 219.0

    def urb(number, function, endpoint, count, raw):
        payload = (f"<packetcount>1</packetcount>\n<payload packet=\"0\">\n<payloadcount>{count}</payloadcount>\n"
                   f"<payloadbytes>{raw}</payloadbytes>\n</payload>\n")
        urbs.append(f"\n<urb sequence=\"{number}\">\n<function>{function}</function>\n<timestamp>{now:.0f}</timestamp>\n"
                    f"<endpoint>{endpoint}</endpoint>\n{payload}</urb>\n")

    for number, (direction, endpoint, content, after) in enumerate(events(transcript), 1):
        now += after * 1000
        if endpoint & 0x0F == 0:
            if content[:2] == b"\x21\x09":
                urb(number, "CLASS_INTERFACE", 0, len(content) - 8, content[8:].hex())
                urb(number, "CONTROL_TRANSFER", -1, len(content) - 8, "")
            continue
        asked = content.hex() if direction == ">" else ""
        done = content.hex() if direction == "<" else ""
        place = endpoint & 0x0F if direction == ">" else endpoint | 0x80
        for raw in (asked, done):
            urb(number, "BULK_OR_INTERRUPT_TRANSFER", place, len(content), raw)
    return ("\n<?xml version='1.0'?>\n\n<!-- This file was generated by SnoopyPro -->\n\n<snoopyprolog>\n"
            + "".join(urbs) + "\n</snoopyprolog>\n")
