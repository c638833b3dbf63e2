import Clinical
import Devices
import Formats
import Foundation
import Wire

extension FuzzTarget {
    /// What a stick is made of: every kind of file that is looked into before anybody knows what it is, and sticks as a whole.
    static let media: [FuzzTarget] = [
        FuzzTarget("dicom-header", fixtures: ["formats"], endings: [".dcm"], shared: ["echo", "ecg/dicom"]) {
            _ = try? DicomHeader($0)
        },
        FuzzTarget(
            "dicom-directory", fixtures: ["formats"], endings: [".dcm"], shared: ["echo/DICOMDIR"], made: indexes
        ) {
            _ = try? DicomDirectory(decoding: $0).missing(among: [["DICOM", "IM000001"]])
        },
        FuzzTarget("dicom-preview", shared: ["echo"], made: { _ in pictures }) {
            _ = DicomPreview.picture(of: $0, width: 64)
        },
        // Everything behind group 0002 of a deflated file: at most a hundred times the input and a megabyte (Inflate.limit), held
        // twice while it grows.
        FuzzTarget("inflate", made: deflated) {
            _ = try? DicomHeader(deflatedStart + $0)
            _ = try? FileDecoder.decode(deflatedStart + $0)
        },
        FuzzTarget("character-sets", made: { _ in names }) { bytes in
            // The character sets as the element says them, a line's end, the text.
            let parts = bytes.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
            let sets = String(decoding: parts[0], as: UTF8.self).split(
                separator: "\\", omittingEmptySubsequences: false
            ).map(String.init)
            _ = DicomText.personName(DicomText.decode(parts.count > 1 ? parts[1] : [], sets: sets))
        },
        FuzzTarget(
            "signal-files", fixtures: ["formats"], endings: [".dcm", ".scp", ".xml", ".edf"],
            shared: ["ecg", "scp", "aecg", "sleep"], made: records
        ) { _ = try? SignalFiles().decode($0) },
        // Five importers look at each file; FLAC and pauses as in the targets of their own.
        FuzzTarget("stick", heapPerByte: 1024, heapBeside: 768 << 20, made: sticks) { bytes in
            guard let archive = try? Ustar(decoding: bytes) else { return }
            let tree = ArchiveTree(archive)
            for importer in Registry.importers {
                for item in (try? importer.find(in: tree)) ?? [] {
                    _ = try? importer.take(item, from: tree)
                }
            }
        },
    ]

    private static let deflatedStart: [UInt8] =
        Array(repeating: 0, count: 128) + Array("DICM".utf8) + [2, 0, 0x10, 0] + Array("UI".utf8) + [22, 0]
        + Array("1.2.840.10008.1.2.1.99".utf8)

    private static func deflated(_ fixtures: URL) throws -> [[UInt8]] {
        let file = [UInt8](try Data(contentsOf: fixtures.appending(path: "formats/ecg-deflated.dcm")))
        // Group 0002 says how long it is (0002,0000 UL).
        guard file.count > 144 else { return [] }
        let length = (0..<4).reduce(0) { $0 | Int(file[140 + $1]) << (8 * $1) }
        // A stored block, and one of fixed codes that is a run of zeros.
        return [Array(file.dropFirst(144 + length)), [1, 4, 0, 0xFB, 0xFF, 8, 0, 5, 0], [0x63, 0x60, 0x18, 5, 0]]
    }

    /// PS3.5 annexes H to K, and what old sticks hold.
    private static let names: [[UInt8]] = [
        ("", [0x4C, 0xC8, 0x5E, 0x5A, 0xEB]), ("ISO_IR 192", Array("ŁUKASZ^Zoë".utf8)),
        ("ISO_IR 144", [0xBF, 0xD5, 0xE2, 0xE0]), ("ISO_IR 13", [0xD4, 0xCF, 0xC0, 0xDE, 0x5E, 0xC0, 0xDB, 0xB3]),
        ("ISO_IR 166", [0xB9, 0xD2]), ("ISO_IR 127", [0xE2, 0xC8]),
        (
            "\\ISO 2022 IR 87",
            Array("Yamada^Tarou=".utf8) + [0x1B, 0x24, 0x42, 0x3B, 0x33, 0x45, 0x44, 0x1B, 0x28, 0x42]
        ),
        ("\\ISO 2022 IR 159", [0x3D, 0x1B, 0x24, 0x28, 0x44, 0x30, 0x21, 0x1B, 0x28, 0x42]),
        ("\\ISO 2022 IR 149", [0x3D, 0x1B, 0x24, 0x29, 0x43, 0xC8, 0xAB, 0x5E, 0x1B, 0x24, 0x29, 0x43, 0xB1, 0xE6]),
        ("\\ISO 2022 IR 58", [0x3D, 0x1B, 0x24, 0x29, 0x41, 0xCD, 0xF5, 0x5E, 0x4C]),
        ("ISO 2022 IR 6\\ISO 2022 IR 100", [0x1B, 0x2D, 0x41, 0xC9, 0x4D]),
        ("GB18030", [0xCD, 0xF5, 0x5E, 0xD0, 0xA1, 0x81, 0x30, 0x87, 0x38, 0x90, 0x30, 0x81, 0x30]),
    ].map { Array($0.0.utf8) + [10] + $0.1 }

    /// An index of two records, one of them of a file.
    private static func indexes(_: URL) -> [[UInt8]] {
        func short(_ tag: [UInt8], _ kind: String, _ value: [UInt8]) -> [UInt8] {
            tag + Array(kind.utf8) + [UInt8(value.count), 0] + value
        }
        let use = short([4, 0, 0x10, 0x14], "US", [0xFF, 0xFF])
        let file = short([4, 0, 0, 0x15], "CS", Array("DICOM\\IM000001".utf8) + [0x20, 0x20])
        let item: [UInt8] = [0xFE, 0xFF, 0, 0xE0]
        let records = [use, use + file].reduce([UInt8]()) { $0 + item + [UInt8($1.count), 0, 0, 0] + $1 }
        let sequence: [UInt8] = [4, 0, 0x20, 0x12, 0x53, 0x51, 0, 0, UInt8(records.count), 0, 0, 0] + records
        let meta = short([2, 0, 0x10, 0], "UI", Array("1.2.840.10008.1.2.1".utf8) + [0])
        return [[UInt8](repeating: 0, count: 128) + Array("DICM".utf8) + meta + sequence]
    }

    /// A grey and a coloured picture, in both encodings, and a compressed loop of two frames.
    private static let pictures: [[UInt8]] = {
        let explicit = "1.2.840.10008.1.2.1"
        let implicit = "1.2.840.10008.1.2"
        let grey = (1, "MONOCHROME2", [UInt8](0..<24))
        let colour = (3, "RGB", [UInt8](0..<72))
        let jpeg: [UInt8] = [0xFF, 0xD8, 0xFF, 0xE0, 0, 2, 0xFF, 0xD9]
        return [explicit, implicit].flatMap { syntax in
            [grey, colour].map { picture(syntax, samples: $0.0, photometric: $0.1, pixels: $0.2) }
        } + [picture("1.2.840.10008.1.2.4.50", samples: 3, photometric: "YBR_FULL_422", frames: [[], jpeg, jpeg])]
    }()

    private static func picture(
        _ syntax: String, samples: Int, photometric: String, pixels: [UInt8] = [], frames: [[UInt8]]? = nil
    ) -> [UInt8] {
        func little(_ value: Int, _ width: Int) -> [UInt8] {
            (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        func element(_ tag: Int, _ kind: String, _ value: [UInt8], explicit: Bool) -> [UInt8] {
            let value = value.count.isMultiple(of: 2) ? value : value + [kind == "UI" ? 0 : 0x20]
            let start = little(tag >> 16, 2) + little(tag & 0xFFFF, 2)
            guard explicit else { return start + little(value.count, 4) + value }
            return start + Array(kind.utf8)
                + (kind == "OB" ? [0, 0] + little(value.count, 4) : little(value.count, 2)) + value
        }
        let isExplicit = syntax != "1.2.840.10008.1.2"
        var bytes = [UInt8](repeating: 0, count: 128) + Array("DICM".utf8)
        bytes += element(0x0002_0010, "UI", Array(syntax.utf8), explicit: true)
        for (tag, kind, value) in [
            (0x0028_0002, "US", little(samples, 2)), (0x0028_0004, "CS", Array(photometric.utf8)),
            (0x0028_0010, "US", little(4, 2)), (0x0028_0011, "US", little(6, 2)), (0x0028_0100, "US", little(8, 2)),
        ] { bytes += element(tag, kind, value, explicit: isExplicit) }
        guard let frames else { return bytes + element(0x7FE0_0010, "OB", pixels, explicit: isExplicit) }
        bytes += little(0x7FE0, 2) + little(0x10, 2) + Array("OB".utf8) + [0, 0] + little(0xFFFF_FFFF, 4)
        for frame in frames { bytes += [0xFE, 0xFF, 0x00, 0xE0] as [UInt8] + little(frame.count, 4) + frame }
        return bytes + [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0] as [UInt8]
    }

    /// A WFDB record as the importer keeps it.
    private static func records(_ fixtures: URL) throws -> [[UInt8]] {
        try [Ustar(["tiny.hea", "tiny.dat"].map { try entry("formats/\($0)", $0, fixtures) }).encoded()]
    }

    private static func sticks(_ fixtures: URL) throws -> [[UInt8]] {
        let wfdb = try ["tiny.hea", "tiny.dat"].map { try entry("formats/\($0)", "W/\($0)", fixtures) }
        let ecgs = try ["ecg.scp", "aecg.xml", "ecg-deflated.dcm"].map {
            try entry("formats/\($0)", "A/\($0)", fixtures)
        }
        let card = try resmedFiles(fixtures)
        let oximeter = try entry("formats/oximetry.edf", "night", fixtures)
        return try [wfdb, ecgs, card, wfdb + [oximeter]].map { try Ustar($0).encoded() }
            + pictures.map { try Ustar([.init(name: "DICOM/IM1", bytes: $0)]).encoded() }
    }

    private static func entry(_ file: String, _ name: String, _ fixtures: URL) throws -> Ustar.Entry {
        Ustar.Entry(name: name, bytes: [UInt8](try Data(contentsOf: fixtures.appending(path: file))))
    }
}

/// A stick in memory: the files of an archive.
private struct ArchiveTree: Tree {
    private var files: [[String]: [UInt8]] = [:]

    init(_ archive: Ustar) {
        for entry in archive.entries {
            let path = entry.name.split(separator: "/").map(String.init)
            if !path.isEmpty { files[path] = entry.bytes }
        }
    }

    func list(_ path: [String]) throws(TreeError) -> [TreeEntry] {
        var entries: [String: TreeEntry] = [:]
        for (file, bytes) in files where file.starts(with: path) && file.count > path.count {
            let name = file[path.count]
            entries[name] =
                file.count > path.count + 1
                ? TreeEntry(name: name, kind: .directory, size: 0)
                : TreeEntry(name: name, kind: .file, size: bytes.count)
        }
        return Array(entries.values)
    }

    func read(_ path: [String], limit: Int) throws(TreeError) -> [UInt8] {
        guard let bytes = files[path] else { throw .notFound("file") }
        guard bytes.count <= limit else { throw .tooLarge("file", size: bytes.count, limit: limit) }
        return bytes
    }

    func read(_ path: [String], offset: Int, count: Int) throws(TreeError) -> [UInt8] {
        Array(try read(path, limit: .max).dropFirst(offset).prefix(count))
    }
}
