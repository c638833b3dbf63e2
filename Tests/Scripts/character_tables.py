#!/usr/bin/env python3
"""Writes Sources/Formats/DICOM/CharacterTables+*.swift: the character sets of DICOM that have thousands of characters, or a
page of their own, as Python's codecs know them. Run it from anywhere; the same Python gives the same files."""
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "Sources/Formats/DICOM"
HOLE = "\uFFFD"


def char(data, codec):
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        return HOLE
    return text if len(text) == 1 and text.isprintable() and not text.isspace() or text in ("\u3000", "\xa0") else HOLE


def rows(codec, lead, trail, prefix=b""):
    """One line for each lead byte; lines longer than 95 are cut in two."""
    lines = []
    for high in lead:
        row = "".join(char(prefix + bytes([high, low]), codec) for low in trail)
        lines += [row[at:at + 95] for at in range(0, len(row), 95)]
    return lines


def literal(lines):
    quoted = [line.replace("\\", "\\\\").replace('"""', '\\"""') for line in lines]
    return '"""\n' + "".join(f"        {line}\\\n" for line in quoted[:-1]) + f"        {quoted[-1]}\n        \"\"\""


def write(name, tables):
    parts = "\n\n".join(f"    /// {doc}\n    static let {key} = scalars(\n        {text})" for key, doc, text in tables)
    (FOLDER / f"CharacterTables+{name}.swift").write_text(
        f"// Made by Tests/Scripts/character_tables.py. Do not edit.\n\nextension CharacterTables {{\n{parts}\n}}\n")


EUC = range(0xA1, 0xFF)
write("Japanese", [
    ("kanji", "JIS X 0208 (ISO-IR 87), 94 rows of 94.", literal(rows("euc_jp", EUC, EUC))),
    ("supplementaryKanji", "JIS X 0212 (ISO-IR 159), 94 rows of 94.", literal(rows("euc_jp", EUC, EUC, b"\x8f"))),
])
write("Korean", [("hangul", "KS X 1001 (ISO-IR 149), 94 rows of 94.", literal(rows("euc_kr", EUC, EUC)))])

trail = [low for low in range(0x40, 0xFF) if low != 0x7F]
ranges, previous = [], None
for pointer in range(39420):
    a, rest = divmod(pointer, 12600)
    b, rest = divmod(rest, 1260)
    c, d = divmod(rest, 10)
    text = char(bytes([0x81 + a, 0x30 + b, 0x81 + c, 0x30 + d]), "gb18030")
    code = None if text == HOLE else ord(text)
    if code is None or previous is None or code != previous + 1:
        if (code is None) != (previous is None) or code is not None:
            ranges.append((pointer, code))
    previous = code
lines, line = [], ""
for pair in [f"({pointer}, {code or 0})," for pointer, code in ranges]:
    if len(line) + len(pair) > 104:
        lines.append(line.strip())
        line = ""
    line += f" {pair}"
lines.append(line.strip())
block = "\n".join(f"        {text}" for text in lines)
(FOLDER / "CharacterTables+Chinese.swift").write_text(
    "// Made by Tests/Scripts/character_tables.py. Do not edit.\n\nextension CharacterTables {\n"
    "    /// GB 18030's two-byte part (GBK), lead bytes 81 to FE, trail bytes 40 to FE without 7F.\n"
    f"    static let chinese = scalars(\n        {literal(rows('gb18030', range(0x81, 0xFF), trail))})\n\n"
    "    /// GB 18030's four-byte part below the supplementary planes: where a run begins, and the character there; 0 for a hole.\n"
    f"    static let chineseRuns: [(pointer: Int, scalar: UInt32)] = [\n{block}\n    ]\n}}\n")

pages = [
    ("latin2", "iso8859_2", 101), ("latin3", "iso8859_3", 109), ("latin4", "iso8859_4", 110), ("cyrillic", "iso8859_5", 144),
    ("arabic", "iso8859_6", 127), ("greek", "iso8859_7", 126), ("hebrew", "iso8859_8", 138), ("turkish", "iso8859_9", 148),
    ("thai", "tis_620", 166), ("latin9", "iso8859_15", 203),
]


def page(codec):
    text = "".join(char(bytes([byte]), codec) for byte in range(0xA0, 0x100))
    # Right-to-left and combining letters would turn the source's lines round.
    shown = [f"\\u{{{ord(c):X}}}" if c in "\xa0" + HOLE or ord(c) >= 0x590 else c for c in text]
    return ["".join(shown[at:at + 8]) for at in range(0, 96, 8)]


parts = []
for key, codec, number in pages:
    # Its lines bring their own escapes.
    body = literal(page(codec)).replace("\\\\u", "\\u")
    parts.append(f"    /// ISO-IR {number}, bytes A0 to FF.\n    static let {key} = scalars(\n        {body})")
(FOLDER / "CharacterTables+Pages.swift").write_text(
    "// Made by Tests/Scripts/character_tables.py. Do not edit.\n\nextension CharacterTables {\n" + "\n\n".join(parts) + "\n}\n")
