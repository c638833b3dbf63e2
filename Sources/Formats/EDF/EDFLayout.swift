import Clinical

/// Where each signal's bytes lie, from what the file really holds: no length is believed.
struct EDFLayout {
    private var headerSize: Int
    private var width: Int
    /// Byte offset within a record, and byte count, per signal.
    private var places: [(offset: Int, size: Int)]
    private var recordSize: Int
    /// Records that begin within the file, the last one perhaps cut.
    var records: Int
    /// Whether the last record is filled up where the file is cut. Not when it is the only one: then its size is nothing
    /// but a claim of the header.
    var fillsLastRecord = false
    var notes: [Note] = []

    init(_ header: EDFRawHeader, size: Int) {
        headerSize = header.headerSize
        width = header.variant.width
        places = []
        recordSize = 0
        for signal in header.signals {
            // At most 9999 signals of at most 2^32 samples: no overflow.
            places.append((recordSize, signal.perRecord * width))
            recordSize += signal.perRecord * width
        }
        let body = max(0, size - headerSize)
        guard recordSize > 0 else {
            records = 0
            return
        }
        let whole = body / recordSize
        let rest = body % recordSize
        let announced = header.announcedRecords
        func note(_ text: String) { notes.append(Note(kind: .surprise, text: text)) }
        if announced < 0 {
            records = whole + (rest > 0 ? 1 : 0)
            note("the number of records was never filled in; \(records) are in the file")
        } else {
            records = min(announced, whole + (rest > 0 ? 1 : 0))
            if announced > records { note("\(announced) records announced, \(records) in the file") }
        }
        if records > whole { note("the last record is cut; what is missing of it has no value") }
        fillsLastRecord = whole > 0
        if announced >= 0, announced <= whole, body > announced * recordSize {
            note("\(body - announced * recordSize) bytes after the last announced record were not read")
        }
    }

    /// The bytes of one signal in one record: fewer than announced, or none, where the file is cut.
    func bytes(_ file: [UInt8], record: Int, signal: Int) -> ArraySlice<UInt8> {
        let start = min(file.count, headerSize + record * recordSize + places[signal].offset)
        return file[start..<min(file.count, start + places[signal].size)]
    }

    /// One signal's digital values in one record that are really there.
    func digital(_ file: [UInt8], record: Int, signal: Int, _ body: (Int) -> Void) {
        let slice = bytes(file, record: record, signal: signal)
        var index = slice.startIndex
        while index + width <= slice.endIndex {
            let value =
                width == 2
                ? Int(Int16(truncatingIfNeeded: Int(slice[index]) | Int(slice[index + 1]) << 8))
                : (Int(slice[index]) | Int(slice[index + 1]) << 8 | Int(Int8(bitPattern: slice[index + 2])) << 16)
            body(value)
            index += width
        }
    }
}
