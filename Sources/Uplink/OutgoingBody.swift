import Glibc

/// A request's body as libcurl asks for it: from memory, from a file, or from a reader piece by piece.
struct OutgoingBody {
    typealias Pull = @Sendable (_ offset: Int, _ count: Int) async throws -> [UInt8]

    enum Portion {
        /// That many bytes are in the buffer; 0 is the end.
        case filled(Int)
        /// Nothing yet: this is to be asked for, and handed over with `take`.
        case later(offset: Int, count: Int, Pull)
        /// Nothing yet, and it was asked for already.
        case underway
    }

    /// Bytes of one piece of a stream: its reader opens and decompresses what is on the disk.
    private static let pieceSize = 1 << 20

    private(set) var sent = 0
    private let source: HTTPRequest.Body
    private let isAnnounced: Bool
    private var file: Int32 = -1
    /// Of a stream: the piece at hand, where it begins, and whether the next one is on its way.
    private var piece: [UInt8] = []
    private var pieceStart = 0
    private var isFetching = false

    init(_ request: HTTPRequest) {
        source = request.body
        isAnnounced = [.post, .put, .patch].contains(request.method)
    }

    /// Nil where no length is named.
    var size: Int? {
        switch source {
        case .bytes(let bytes): bytes.count
        case .file(_, _, let count): count
        case .stream(let size, _): size
        // A POST, PUT or PATCH without a body still says that it is empty.
        case .none: isAnnounced ? 0 : nil
        }
    }

    mutating func open() throws(UplinkError) {
        guard case .file(let path, _, _) = source else { return }
        file = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .local("cannot open the file to send (errno \(errno))") }
    }

    mutating func close() {
        if file >= 0 { Glibc.close(file) }
        file = -1
    }

    mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws(UplinkError) -> Portion {
        switch source {
        case .none: return .filled(0)
        case .bytes(let bytes):
            let count = min(buffer.count, bytes.count - sent)
            if count > 0 { unsafe buffer.copyBytes(from: bytes[sent..<sent + count]) }
            sent += count
            return .filled(count)
        case .file(_, let offset, let total):
            let count = min(buffer.count, total - sent)
            guard count > 0 else { return .filled(0) }
            let done = unsafe pread(file, buffer.baseAddress, count, off_t(offset + sent))
            guard done > 0 else { throw .local("the file to send is shorter than it was") }
            sent += done
            return .filled(done)
        case .stream(let size, let pull):
            guard sent < size else { return .filled(0) }
            let at = sent - pieceStart
            if piece.indices.contains(at) {
                let count = min(buffer.count, piece.count - at)
                unsafe buffer.copyBytes(from: piece[at..<at + count])
                sent += count
                return .filled(count)
            }
            guard !isFetching else { return .underway }
            isFetching = true
            return .later(offset: sent, count: min(Self.pieceSize, size - sent), pull)
        }
    }

    /// The next piece of a stream.
    /// - Returns: false when there is none.
    mutating func take(_ bytes: [UInt8]?, at offset: Int) -> Bool {
        isFetching = false
        guard let bytes else { return false }
        piece = bytes
        pieceStart = offset
        return true
    }

    /// libcurl begins again there.
    /// - Returns: false outside of the body.
    mutating func rewind(to position: Int) -> Bool {
        guard position >= 0, position <= size ?? 0 else { return false }
        sent = position
        return true
    }
}
