import CZstd
import Clinical
import Formats
import Store

extension PayloadCoding {
    /// ECG leads through the lossless ECG coder, everything else through zstd where that makes it smaller.
    ///
    /// Samples are coded when they are written, chunk by chunk, not when the recording is frozen: so nothing is ever rewritten,
    /// a crash has nothing to undo, and the second that is on the disk is the second that will be read.
    static let standard = PayloadCoding(
        packSamples: { channels, samples in
            guard let coded = EcgChunk.encode(channels, samples) else { return nil }
            // A sample that doesn't come back as it was is worth more than any byte saved.
            return (try? EcgChunk.decode(coded, channels: channels)) == samples ? coded : nil
        },
        unpackSamples: { bytes, channels in try? EcgChunk.decode(bytes, channels: channels) },
        pack: Zstd.pack, unpack: Zstd.unpack)
}

/// Debian's libzstd, one frame at a time.
enum Zstd {
    /// Level 3: at higher ones, what is left to gain on these payloads is a few per cent.
    private static let level: Int32 = 3
    /// Cines and other compressed content show in their first bytes that nothing is to be gained.
    private static let trial = 64 << 10
    /// No payload row is larger (1 MiB, and a block of a device that may exceed it).
    private static let most = 64 << 20

    @Sendable static func pack(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.count >= 64, bytes.count <= most else { return nil }
        if bytes.count > 4 * trial {
            guard let sample = compressed(Array(bytes[..<trial])), sample.count < trial - trial / 16 else { return nil }
        }
        guard let packed = compressed(bytes), packed.count < bytes.count - bytes.count / 16 else { return nil }
        return packed
    }

    @Sendable static func unpack(_ bytes: [UInt8]) -> [UInt8]? {
        let size = unsafe bytes.withUnsafeBytes { unsafe ZSTD_getFrameContentSize($0.baseAddress, $0.count) }
        // Unknown and invalid sizes are the two greatest numbers.
        guard size <= UInt64(most) else { return nil }
        var written = 0
        let result = unsafe [UInt8](unsafeUninitializedCapacity: Int(size)) { buffer, count in
            written = unsafe bytes.withUnsafeBytes {
                unsafe ZSTD_decompress(buffer.baseAddress, buffer.count, $0.baseAddress, $0.count)
            }
            count = ZSTD_isError(written) == 0 ? min(written, buffer.count) : 0
        }
        return written == Int(size) && ZSTD_isError(written) == 0 ? result : nil
    }

    private static func compressed(_ bytes: [UInt8]) -> [UInt8]? {
        var written = 0
        let result = unsafe [UInt8](unsafeUninitializedCapacity: ZSTD_compressBound(bytes.count)) { buffer, count in
            written = unsafe bytes.withUnsafeBytes {
                unsafe ZSTD_compress(buffer.baseAddress, buffer.count, $0.baseAddress, $0.count, level)
            }
            count = ZSTD_isError(written) == 0 ? min(written, buffer.count) : 0
        }
        return ZSTD_isError(written) == 0 ? result : nil
    }
}
