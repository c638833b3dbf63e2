"""Cards of ResMed machines as the machines write them (devices.md 4): header and record checksums, events in files of their own."""

import binascii
import datetime
import struct

SERIAL = "23181234567"


def crc(data):
    return binascii.crc_hqx(bytes(data), 0xFFFF)


def edf(start, signals, records, seconds, variant="EDF", serial=SERIAL):
    """signals: label, unit, physical and digital limits, samples a record; records: bytes without their checksum."""
    signals = [*signals, ("Crc16", "", -32768, 32767, -32768, 32767, 1)]

    def column(width, place):
        return b"".join(("" if place is None else str(signal[place])).encode().ljust(width) for signal in signals)

    columns = b"".join(column(*each) for each in (
        (16, 0), (80, None), (8, 1), (8, 2), (8, 3), (8, 4), (8, 5), (80, None), (8, 6), (32, None)))
    made = f"Startdate {start:%d-%b-%Y}".upper() + " X X X" + (f" SRN={serial} MID=36 VID=39" if serial else "")
    fields = (made, 80), (f"{start:%d.%m.%y}", 8), (f"{start:%H.%M.%S}", 8), (256 * (len(signals) + 1), 8), \
        (variant, 44), (len(records), 8), (f"{seconds:.2f}", 8), (len(signals), 4)
    rest = b" " * 63 + b"".join(str(value).encode().ljust(width) for value, width in fields)
    front = b"0".ljust(8) + f"X X X X {crc(rest):04X} {crc(columns):04X}".encode()
    return front + rest + columns + b"".join(record + struct.pack("<H", crc(record)) for record in records)


def breathing(start, minutes, serial=SERIAL, seed=0):
    record = struct.pack("<1500h", *((index * 7 + seed) % 2500 - 1000 for index in range(1500)))
    return edf(start, [("Flow.40ms", "L/s", -2, 3, -1000, 1500, 1500)], [record] * minutes, 60, serial=serial)


def statistics(start, minutes, serial=SERIAL):
    record = struct.pack("<30h", *range(30))
    return edf(start, [("Leak.2s", "L/s", 0, 2, 0, 100, 30)], [record] * minutes, 60, serial=serial)


def oximetry(start, minutes, serial=SERIAL, spo2=-1):
    record = struct.pack("<60h", *[spo2] * 60)
    return edf(start, [("SpO2.1s", "%", 0, 100, 0, 100, 60)], [record] * minutes, 60, serial=serial)


def events(start, found=(), serial=SERIAL):
    """found: end in seconds from the file's start, duration, text."""
    records = [
        (b"+0\x14\x14\0" + f"+{end}\x15{length}\x14{text}\x14".encode()).ljust(62, b"\0")
        for end, length, text in [(0, 0, "Recording starts"), *found]]
    return edf(start, [("EDF Annotations", "", -1, 1, -32768, 32767, 31)], records, 0, "EDF+D", serial)


def days(first, minutes, apnoeas_an_hour, serial=SERIAL):
    """STR.edf: one record for each therapy day; `minutes` from day to day."""
    signals = [("Date", "", 0, 32767, 0, 32767, 1), ("Duration", "min", 0, 1440, 0, 1440, 1), ("AHI", "/hr", 0, 240, 0, 2400, 1)]
    day = (first - datetime.datetime(1970, 1, 1)).days
    records = [struct.pack("<3h", day + index, each, round(apnoeas_an_hour * 10)) for index, each in enumerate(minutes)]
    return edf(first.replace(hour=12, minute=0, second=0), signals, records, 86400, serial=serial)


def name(folder, start, kind):
    return f"DATALOG/{folder}/{start:%Y%m%d_%H%M%S}_{kind}.edf"


def session(folder, start, minutes=5, apnoeas=(200,), serial=SERIAL):
    """One session with files of its own, apnoeas ending at these seconds of it."""
    therapy = start - datetime.timedelta(seconds=7)
    found = [(end + 7, 12, "Obstructive Apnea") for end in apnoeas]
    return {
        name(folder, therapy, "EVE"): events(therapy, found, serial), name(folder, therapy, "CSL"): events(therapy, (), serial),
        name(folder, start, "BRP"): breathing(start, minutes, serial, seed=start.hour),
        name(folder, start, "PLD"): statistics(start, minutes, serial), name(folder, start, "SA2"): oximetry(start, minutes, serial),
    }


def card(files, first, minutes, apnoeas_an_hour=12, serial=SERIAL):
    """With these sessions' files, and what else a machine writes."""
    identification = {"Identification.tgt": f"#SRN {serial}\r\n#PNA AirSense_10_AutoSet\r\n".encode()} if serial else {}
    return {
        **files, **identification, "STR.edf": days(first, minutes, apnoeas_an_hour, serial), "SETTINGS/AGL.tgt": b"#AAA 1\r\n",
        "JOURNAL.JNL": b"journal\r\n"}
