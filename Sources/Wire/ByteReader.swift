/// What can go wrong while reading bytes that somebody else wrote.
public enum WireError: Error, Equatable, Sendable {
    /// `needed` bytes were asked for at `offset`, only `available` are there.
    case truncated(offset: Int, needed: Int, available: Int)
    /// A value that the format forbids, said in words that go into a log.
    case malformed(offset: Int, String)
}

/// Bounds-checked reads over bytes that can't be trusted. Never allocates what a length field dictates:
/// `bytes(_:)` returns a slice of what is already there.
public struct ByteReader: Sendable {
    private let storage: ArraySlice<UInt8>
    private var cursor: Int

    public init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    public init(_ bytes: ArraySlice<UInt8>) {
        storage = bytes
        cursor = bytes.startIndex
    }

    /// Bytes consumed since the start.
    public var offset: Int { cursor - storage.startIndex }
    public var remaining: Int { storage.endIndex - cursor }
    public var isAtEnd: Bool { remaining == 0 }

    public mutating func bytes(_ count: Int) throws(WireError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= remaining else {
            throw .truncated(offset: offset, needed: count, available: remaining)
        }
        defer { cursor += count }
        return storage[cursor..<cursor + count]
    }

    public mutating func skip(_ count: Int) throws(WireError) { _ = try bytes(count) }

    public mutating func rest() -> ArraySlice<UInt8> {
        defer { cursor = storage.endIndex }
        return storage[cursor...]
    }

    public mutating func u8() throws(WireError) -> UInt8 {
        let slice = try bytes(1)
        return slice[slice.startIndex]
    }

    public mutating func littleEndian<T: FixedWidthInteger>(_: T.Type = T.self) throws(WireError) -> T {
        var value: T = 0
        for byte in try bytes(T.bitWidth / 8).reversed() { value = value << 8 | T(truncatingIfNeeded: byte) }
        return value
    }

    public mutating func bigEndian<T: FixedWidthInteger>(_: T.Type = T.self) throws(WireError) -> T {
        var value: T = 0
        for byte in try bytes(T.bitWidth / 8) { value = value << 8 | T(truncatingIfNeeded: byte) }
        return value
    }
}
