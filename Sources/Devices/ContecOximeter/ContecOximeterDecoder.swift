/// Finds the frames in what the device sends (devices.md 3.2). Every byte comes out once and in order: as part of a frame,
/// as lost, or it is still waiting in `partial`.
struct ContecOximeterDecoder: Sendable {
    enum Piece: Equatable, Sendable {
        case frame(ContecOximeterFrame, raw: [UInt8])
        /// Bytes that belong to no whole frame; `unknownTypes` are those with bit 7 clear that no frame type has.
        case lost([UInt8], unknownTypes: [UInt8])
    }

    /// The beginning of a frame whose rest has not come yet.
    private(set) var partial: [UInt8] = []
    private var missing = 0

    mutating func decode(_ bytes: [UInt8]) -> [Piece] {
        var pieces: [Piece] = []
        var lost: [UInt8] = []
        var unknown: [UInt8] = []
        func reportLost() {
            guard !lost.isEmpty else { return }
            pieces.append(.lost(lost, unknownTypes: unknown))
            lost = []
            unknown = []
        }
        for byte in bytes {
            if byte & 0x80 == 0 {
                // Bit 7 clear inside a frame: that frame was cut, and another one may begin right here.
                lost += reset()
                if let type = ContecOximeterFrameType(rawValue: byte) {
                    partial = [byte]
                    missing = type.length - 1
                } else {
                    lost.append(byte)
                    unknown.append(byte)
                }
            } else if partial.isEmpty {
                lost.append(byte)
            } else {
                partial.append(byte)
                missing -= 1
                guard missing == 0 else { continue }
                reportLost()
                let raw = reset()
                // Can't fail: type, length and bit 7 of every byte have been seen to.
                if let frame = try? ContecOximeterFrame(parsing: raw) { pieces.append(.frame(frame, raw: raw)) }
            }
        }
        reportLost()
        return pieces
    }

    /// Forgets a frame that has begun; returns its bytes.
    @discardableResult
    mutating func reset() -> [UInt8] {
        defer { partial = [] }
        return partial
    }
}
