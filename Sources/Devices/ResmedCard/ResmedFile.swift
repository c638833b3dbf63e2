import Clinical
import Formats
import Wire

/// One EDF file of a card, checked: header checksums (wrong: the file is refused), record checksums (wrong: that record is
/// left out), see devices.md 4.3.
struct ResmedFile {
    var header: ResmedHeader
    var edf: EDFFile
    /// Whole records in the file, as far as the header announces them or their checksums show that they were written.
    var records: Int
    /// Records whose checksum is wrong: their samples are absent, their annotations gone.
    var badRecords: [Int]
    /// What was odd, without the file's name.
    var surprises: [String]

    /// An EDF of one of these machines, whatever its name: by its maker's fields and the checksum at the end of each record.
    static func isOne(_ bytes: [UInt8]) -> Bool {
        guard let header = ResmedHeader(bytes), header.isResmed, bytes.count >= header.headerSize else { return false }
        return RecordLayout(bytes, header)?.hasChecksum ?? false
    }

    /// - Throws: `.notRecognised` when it is no EDF, `.damaged` when a header checksum is wrong or the header is rubbish.
    init(_ bytes: [UInt8]) throws(ImportError) {
        guard let header = ResmedHeader(bytes) else { throw .notRecognised }
        self.header = header
        guard bytes.count >= header.headerSize else { throw .damaged("the file ends within its header; copy it again") }
        surprises = []
        if let checksums = header.checksums {
            guard header.isSound else { throw .damaged("the header's checksum is wrong; copy the file again") }
            guard checksums.signals == CRC16.ccittFalse(bytes[ResmedHeader.size..<header.headerSize]) else {
                throw .damaged("the checksum of the signal headers is wrong; copy the file again")
            }
        } else {
            surprises.append("the header has no checksums")
        }
        guard let layout = RecordLayout(bytes, header) else { throw .damaged("a record's size is not a number") }
        let body = bytes.count - header.headerSize
        let whole = body / layout.recordSize
        let announced = header.records < 0 ? whole : min(header.records, whole)
        records = announced + layout.sound(bytes, from: header.headerSize + announced * layout.recordSize)
        if records > announced {
            // The machine counts when it closes the file; it may have lost its power before.
            surprises.append("\(announced) records announced, \(records) in the file")
        } else if announced < whole {
            surprises.append(
                "\(body - announced * layout.recordSize) bytes after the last announced record were not read")
        }
        if whole == records, body % layout.recordSize > 0 {
            surprises.append("the last record is cut; it has no checksum and was not read")
        }
        // Only what a checksum can cover.
        var checked = Array(bytes[..<(header.headerSize + records * layout.recordSize)])
        if records > announced {
            let count = Array("\(records)".utf8).prefix(8)
            checked.replaceSubrange(236..<244, with: count + Array(repeating: 0x20, count: 8 - count.count))
        }
        badRecords = []
        if layout.hasChecksum {
            // Those behind the announced ones count because theirs is right.
            for record in 0..<announced {
                let start = header.headerSize + record * layout.recordSize
                let place = start..<start + layout.recordSize
                guard !RecordLayout.isSound(checked[place]) else { continue }
                badRecords.append(record)
                // So that no annotation is read from it; samples are made absent below.
                for index in place { checked[index] = 0 }
            }
        } else if header.signals > 1 {
            surprises.append("the records have no checksums")
        }
        do {
            edf = try EDFFile(decoding: checked)
        } catch {
            switch error {
            case .notRecognised: throw .notRecognised
            case .damaged(_, let text), .unsupported(_, let text): throw .damaged(text)
            }
        }
        surprises += edf.notes.filter { $0.kind == .surprise }.map(\.text)
        for index in edf.waveform.channels.indices { makeAbsent(channel: index) }
    }

    /// Samples of bad records, and values below what the signal can have: -1 stands for "not connected" (devices.md 4.4).
    private mutating func makeAbsent(channel index: Int) {
        let range = edf.waveform.channels[index].range
        let neverNegative = range.lowerBound >= 0
        let perRecord = records > 0 ? edf.waveform.samples[index].count / records : 0
        for record in badRecords {
            for place in record * perRecord..<min((record + 1) * perRecord, edf.waveform.samples[index].count) {
                edf.waveform.samples[index][place] = .absent
            }
        }
        guard neverNegative else { return }
        for place in edf.waveform.samples[index].indices where edf.waveform.samples[index][place] < range.lowerBound {
            edf.waveform.samples[index][place] = .absent
        }
    }

    /// Annotations in the order of the file: onset from this file's start, in seconds.
    var annotations: [Note] { edf.annotations }

    /// More than a night has minutes: beyond it, damage is counted and not placed.
    static let mostRuns = 1000

    /// Runs of bad records, for notes.
    var badRuns: [Range<Int>] {
        var runs: [Range<Int>] = []
        for record in badRecords {
            if let last = runs.last, last.upperBound == record {
                runs[runs.count - 1] = last.lowerBound..<record + 1
            } else {
                runs.append(record..<record + 1)
            }
        }
        return runs
    }
}

/// How long a record is, and whether it ends in a checksum.
private struct RecordLayout {
    var recordSize = 0
    var hasChecksum = false

    /// Nil when a count is no number or a record is empty or longer than any file that is read.
    init?(_ bytes: [UInt8], _ header: ResmedHeader) {
        var reader = ByteReader(bytes)
        guard (try? reader.skip(ResmedHeader.size)) != nil,
            let labels = try? reader.bytes(16 * header.signals),
            (try? reader.skip(200 * header.signals)) != nil,
            let counts = try? reader.bytes(8 * header.signals)
        else { return nil }
        for signal in 0..<header.signals {
            let start = counts.startIndex + 8 * signal
            let text = String(decoding: counts[start..<start + 8].filter { $0 != 0x20 && $0 != 0 }, as: UTF8.self)
            guard let count = Int(text), (0...FileWalk.sizeLimit).contains(count) else { return nil }
            recordSize += 2 * count
            if signal == header.signals - 1 {
                hasChecksum = count == 1 && labels.suffix(16).starts(with: "Crc16".utf8)
            }
        }
        guard recordSize > 0 else { return nil }
    }

    /// By the checksum at its end.
    static func isSound(_ record: ArraySlice<UInt8>) -> Bool {
        let end = record.endIndex
        return CRC16.ccittFalse(record.dropLast(2)) == UInt16(record[end - 2]) | UInt16(record[end - 1]) << 8
    }

    /// Records one behind the other with right checksums.
    func sound(_ bytes: [UInt8], from start: Int) -> Int {
        guard hasChecksum else { return 0 }
        var count = 0
        while case let next = start + count * recordSize, next + recordSize <= bytes.count,
            Self.isSound(bytes[next..<next + recordSize])
        {
            count += 1
        }
        return count
    }
}
