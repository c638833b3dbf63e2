import Clinical

/// A frame of the live stream: five bytes, only the first has bit 7 set (devices.md 3.10).
struct ContecLegacyFrame: Equatable, Sendable {
    static let size = 5
    /// Strengths end at 8; a simulator has no other way to say what it is.
    static let simulatedStrength: UInt8 = 0x0F

    var bytes: [UInt8]

    var isSimulated: Bool { bytes[0] & 0x0F == Self.simulatedStrength }

    /// The same facts as the newer protocol's frame has, where they stand there.
    var values: ContecOximeterRealTime {
        let isOff = bytes[0] & 0x10 != 0 || bytes[2] & 0x10 != 0
        let pulse = bytes[3] & 0x7F | (bytes[2] & 0x40) << 1
        return ContecOximeterRealTime(data: [
            bytes[0] & 0x6F | (isOff ? 0x80 : 0), bytes[1] & 0x7F | (bytes[2] & 0x20) << 2, bytes[2] & 0x0F | 0x10,
            pulse, bytes[4], 0xFF, 0xFF,
        ])
    }

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// For the simulator.
    init(_ values: ContecOximeterRealTime) {
        let pulse = values.rawPulse
        bytes = [
            0x80 | Self.simulatedStrength | (values.isProbeOff ? 0x10 : 0) | (values.isDropping ? 0x20 : 0)
                | (values.isBeat ? 0x40 : 0),
            values.rawPlethysmogram,
            values.bar | (values.isSearching ? 0x20 : 0) | (pulse >> 1 & 0x40),
            pulse & 0x7F, values.rawSpO2 & 0x7F,
        ]
    }
}

/// What the device sends.
enum ContecLegacyPiece: Equatable, Sendable {
    case live(ContecLegacyFrame)
    /// `F2`, hour and minute with bit 7 set; without a clock 80 and 00 or 80. Three of them stand before a download.
    case header(UInt8, UInt8)
    /// Bytes of the samples to come.
    case length(Int)
    case stored(ContecOximeterStoredSample)
    case lost(Int)
}

/// Finds the pieces. A live frame, a header and a sample differ in their first two bytes; the length (bit 7 set, set, clear: what the
/// source of devices.md 3.10 demands) is one only behind a header and before a sample.
struct ContecLegacyDecoder: Sendable {
    private var partial: [UInt8] = []
    private var lost = 0
    private var expectsLength = false

    /// Something has begun and isn't whole.
    var isWaiting: Bool { !partial.isEmpty }

    mutating func take(_ bytes: [UInt8]) -> [ContecLegacyPiece] {
        var pieces: [ContecLegacyPiece] = []
        for byte in bytes { take(byte, &pieces) }
        return pieces
    }

    /// After a silence, or at the end: a length with nothing behind it (an empty memory).
    mutating func flush() -> [ContecLegacyPiece] {
        var pieces: [ContecLegacyPiece] = []
        if partial.count == 3, partial[1] & 0x80 != 0 {
            concludeLength(&pieces)
        } else {
            lost += partial.count
        }
        partial = []
        emitLoss(&pieces)
        return pieces
    }

    private mutating func take(_ byte: UInt8, _ pieces: inout [ContecLegacyPiece]) {
        let isStart = byte & 0x80 != 0
        let isLong = partial.count > 1 && partial[1] & 0x80 != 0
        switch (partial.count, isStart) {
        case (0, false): lost += 1
        case (1, true) where !(0xF0...0xF2 ~= partial[0]) && !expectsLength: restart(byte)
        case (2, _) where isLong: concludeLong(byte, &pieces)
        case (3, true) where isLong && byte & 0xFE == 0xF0:
            concludeLength(&pieces)
            partial = [byte]
        // No sample follows: the first byte was a stray one, and a live frame began with the second.
        case (3, false) where isLong:
            lost += 1
            partial = [partial[1], partial[2], byte]
        case (0, true), (1, _), (2, false), (3, false): partial.append(byte)
        case (4, false):
            emit(.live(ContecLegacyFrame(bytes: partial + [byte])), &pieces)
        default: restart(byte)
        }
    }

    /// A header, a sample or a length gets its third byte.
    private mutating func concludeLong(_ byte: UInt8, _ pieces: inout [ContecLegacyPiece]) {
        switch (partial[0], byte & 0x80 != 0) {
        case (0xF2, let hasBit) where hasBit || byte == 0:
            expectsLength = true
            emit(.header(partial[1] & 0x7F, byte & 0x7F), &pieces)
        case (0xF0, false), (0xF1, false):
            expectsLength = false
            let pulse = partial[1] & 0x7F | (partial[0] & 1) << 7
            emit(.stored(ContecOximeterStoredSample(spo2: byte, pulse: pulse, perfusion: nil)), &pieces)
        case (0x80..<0xF0, false) where expectsLength: partial.append(byte)
        default:
            // The first byte was a stray one; the second may be the real beginning.
            lost += 1
            let second = partial[1]
            partial = []
            take(second, &pieces)
            take(byte, &pieces)
        }
    }

    private mutating func concludeLength(_ pieces: inout [ContecLegacyPiece]) {
        let bytes = partial.map { Int($0 & 0x7F) }
        expectsLength = false
        emit(.length((bytes[0] << 14 | bytes[1] << 7 | bytes[2]) + 1), &pieces)
    }

    private mutating func restart(_ byte: UInt8) {
        lost += partial.count
        partial = []
        if byte & 0x80 != 0 { partial = [byte] } else { lost += 1 }
    }

    private mutating func emit(_ piece: ContecLegacyPiece, _ pieces: inout [ContecLegacyPiece]) {
        emitLoss(&pieces)
        pieces.append(piece)
        partial = []
    }

    private mutating func emitLoss(_ pieces: inout [ContecLegacyPiece]) {
        if lost > 0 { pieces.append(.lost(lost)) }
        lost = 0
    }
}
