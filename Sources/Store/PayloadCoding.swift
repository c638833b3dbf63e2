public import Clinical
internal import Crypto
internal import FoundationEssentials

/// How payloads are made smaller before they are sealed. Given from outside, as the store knows no format. Whatever was
/// written in one way is always read in the same way: a later version may add to these closures, never change them.
public struct PayloadCoding: Sendable {
    /// Samples of these channels, coded; nil where that has nothing to offer.
    public var packSamples: @Sendable ([Channel], [[Sample]]) -> [UInt8]?
    /// What `packSamples` was given; nil when these bytes can't be its work.
    public var unpackSamples: @Sendable ([UInt8], [Channel]) -> [[Sample]]?
    /// Any bytes, smaller; nil where they don't get smaller.
    public var pack: @Sendable ([UInt8]) -> [UInt8]?
    /// What `pack` was given; nil when these bytes can't be its work.
    public var unpack: @Sendable ([UInt8]) -> [UInt8]?

    public init(
        packSamples: @escaping @Sendable ([Channel], [[Sample]]) -> [UInt8]?,
        unpackSamples: @escaping @Sendable ([UInt8], [Channel]) -> [[Sample]]?,
        pack: @escaping @Sendable ([UInt8]) -> [UInt8]?, unpack: @escaping @Sendable ([UInt8]) -> [UInt8]?
    ) {
        self.packSamples = packSamples
        self.unpackSamples = unpackSamples
        self.pack = pack
        self.unpack = unpack
    }

    /// Everything as it is. Reads what was written without a coding, and nothing else.
    public static let none = PayloadCoding(
        packSamples: { _, _ in nil }, unpackSamples: { _, _ in nil }, pack: { _ in nil }, unpack: { _ in nil })

    /// The first byte of decoded samples says how they are coded; 1 is `SampleCoding` itself.
    private enum Kind {
        static let samples: UInt8 = 2
        static let packed: UInt8 = 3
    }

    func encode(_ samples: [[Sample]], of channels: [Channel]) -> [UInt8] {
        if let coded = packSamples(channels, samples), coded.count + 1 < SampleCoding.size(of: samples) {
            return [Kind.samples] + coded
        }
        let plain = SampleCoding.encode(samples)
        if let packed = pack(plain), packed.count + 1 < plain.count { return [Kind.packed] + packed }
        return plain
    }

    func decode(_ bytes: [UInt8], of channels: [Channel]) throws(StoreError) -> [[Sample]] {
        var samples: [[Sample]]?
        switch bytes.first {
        case Kind.samples: samples = unpackSamples(Array(bytes.dropFirst()), channels)
        case Kind.packed:
            if let plain = unpack(Array(bytes.dropFirst())) { samples = try SampleCoding.decode(plain) }
        default: samples = try SampleCoding.decode(bytes)
        }
        guard let samples else { throw .corrupt("coded samples") }
        guard samples.count == channels.count else { throw .corrupt("a chunk's channels") }
        return samples
    }
}

extension SymmetricKey {
    /// As `seal`, packed where that makes it smaller. That it is packed is part of the place: nobody can pretend otherwise.
    func seal(packing bytes: some DataProtocol, _ coding: PayloadCoding, at place: String) throws(StoreError) -> Data {
        guard let packed = coding.pack(Array(bytes)) else { return try seal(bytes, at: place) }
        return try seal(packed, at: Self.packed(place))
    }

    /// What `seal(packing:)` or, before there was a coding, `seal` wrote.
    func open(packed sealed: Data, _ coding: PayloadCoding, at place: String) throws(StoreError) -> [UInt8] {
        guard let packed = try? open(sealed, at: Self.packed(place)) else {
            return Array(try open(sealed, at: place))
        }
        guard let bytes = coding.unpack(Array(packed)) else { throw .corrupt("packed bytes at \(place)") }
        return bytes
    }

    private static func packed(_ place: String) -> String { "\(place)|packed" }
}
