/// One framer for each IN endpoint: an APDU never continues on another one, and unconfirmed reports may come by the interrupt
/// endpoint in the middle of a long one (phdc.md 2.5, 2.9).
struct PhdcFramers: Sendable {
    private var framers: [UInt8?: PhdcFramer] = [:]

    var deadline: UInt64? { framers.values.compactMap(\.deadline).min() }

    mutating func take(_ transfer: [UInt8], from endpoint: UInt8?, at now: UInt64) -> [PhdcFramer.Piece] {
        // Endpoints are numbered from 1 to 15; a transcript may say anything.
        let endpoint = endpoint.map { $0 & 0x0F }
        return framers[endpoint, default: PhdcFramer()].take(transfer, at: now)
    }

    mutating func expire(at now: UInt64) -> [PhdcFramer.Piece] {
        sorted.flatMap { framers[$0]?.expire(at: now) ?? [] }
    }

    mutating func flush() -> [PhdcFramer.Piece] { sorted.flatMap { framers[$0]?.flush() ?? [] } }

    private var sorted: [UInt8?] { framers.keys.sorted { ($0 ?? 0) < ($1 ?? 0) } }
}

/// Cuts APDUs out of bulk transfers (phdc.md 2.8, 2.9): several in one transfer, one over several, padding behind one, a
/// metadata preamble that nobody asked for. Keeps less than one APDU and one transfer.
struct PhdcFramer: Sendable {
    enum Piece: Sendable, Equatable {
        /// Whole, by its own length field.
        case apdu([UInt8])
        case preamble([UInt8])
        /// Behind an APDU in the same transfer: buffer padding.
        case padding([UInt8])
        /// Can't be an APDU: framing is lost until the next transfer.
        case lost([UInt8])

        var bytes: [UInt8] {
            switch self {
            case .apdu(let bytes), .preamble(let bytes), .padding(let bytes), .lost(let bytes): bytes
            }
        }
    }

    /// The rest of an APDU must come within 3 s.
    static let patience: UInt64 = 3_000_000_000
    /// `PhdcQoSSignature`
    static let signature = Array("PhdcQoSSignature".utf8)

    private var buffer: [UInt8] = []
    /// What is in the buffer stood behind an APDU at the end of its transfer, less than a header: the beginning of another one, or padding.
    private var isBehind = false
    private var since: UInt64 = 0

    /// When what is incomplete is given up; nil when nothing is.
    var deadline: UInt64? { buffer.isEmpty ? nil : since + Self.patience }

    /// Bytes of one transfer; empty ones (a terminating packet) mean nothing.
    mutating func take(_ transfer: [UInt8], at now: UInt64) -> [Piece] {
        var pieces = expire(at: now)
        guard !transfer.isEmpty else { return pieces }
        if isBehind, Self.isWhole(transfer), !Self.isWhole(buffer + transfer) {
            // By chance the first bytes of an APDU, which begins with its transfer.
            pieces.append(.padding(buffer))
            buffer = []
        }
        isBehind = false
        if buffer.isEmpty { since = now }
        buffer += transfer
        var hasApdu = false
        while !buffer.isEmpty {
            switch Self.step(buffer) {
            case .wait:
                // A preamble stands in front of a transfer, never behind an APDU.
                guard hasApdu, buffer[0] == Self.signature[0] else {
                    // Less than a header says nothing yet.
                    isBehind = hasApdu && buffer.count < 4
                    return pieces
                }
                pieces.append(.padding(buffer))
                buffer = []
            case .cut(let count):
                let bytes = Array(buffer.prefix(count))
                buffer.removeFirst(count)
                since = now
                if bytes[0] == Self.signature[0] {
                    pieces.append(.preamble(bytes))
                } else {
                    pieces.append(.apdu(bytes))
                    hasApdu = true
                }
            case .invalid:
                pieces.append(hasApdu ? .padding(buffer) : .lost(buffer))
                buffer = []
            }
        }
        return pieces
    }

    /// Gives up an APDU that never became whole.
    mutating func expire(at now: UInt64) -> [Piece] {
        guard let deadline, now >= deadline else { return [] }
        return flush()
    }

    /// What is left at the end.
    mutating func flush() -> [Piece] {
        guard !buffer.isEmpty else { return [] }
        defer {
            buffer = []
            isBehind = false
        }
        return isBehind ? [.padding(buffer)] : [.lost(buffer)]
    }

    private enum Step { case wait, cut(Int), invalid }

    private static func isWhole(_ bytes: [UInt8]) -> Bool {
        guard !bytes.isEmpty, case .cut = step(bytes) else { return false }
        return true
    }

    private static func step(_ buffer: [UInt8]) -> Step {
        if buffer[0] == Self.signature[0] {
            guard buffer.starts(with: Self.signature.prefix(buffer.count)) else { return .invalid }
            guard buffer.count >= 20 else { return .wait }
            let count = 20 + Int(buffer[19])
            return buffer.count >= count ? .cut(count) : .wait
        }
        guard 0xE2...0xE7 ~= buffer[0], buffer.count < 2 || buffer[1] == 0 else { return .invalid }
        guard buffer.count >= 4 else { return .wait }
        let count = 4 + (Int(buffer[2]) << 8 | Int(buffer[3]))
        guard count <= PhdcApdu.largest else { return .invalid }
        return buffer.count >= count ? .cut(count) : .wait
    }
}
