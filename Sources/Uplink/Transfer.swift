import CCurl
import Glibc
import Synchronization

/// One request under way.
///
/// @unchecked Sendable: `whole` and `pieces` are set before the transfer is handed to the curl thread (through its Mutex); from
/// then on everything but `isCancelled` is touched by that thread alone.
///
/// @safe: what it points to belongs to it from `prepare` to `release`.
@safe final class Transfer: @unchecked Sendable {
    /// Pieces of a stream that wait for their reader; at 16 KiB each that is 16 MiB, and then the reader is not reading.
    static let unreadPieces = 1024
    private static let headerLimit = 64 << 10
    private static let errorSize = 256  // CURL_ERROR_SIZE

    let request: HTTPRequest
    let isCancelled = Atomic(false)
    /// Called once: with the whole answer, or for a stream with its head.
    var whole: (@Sendable (Result<HTTPResponse, UplinkError>) -> Void)?
    var pieces: AsyncThrowingStream<[UInt8], any Error>.Continuation?
    /// Takes the body of a 200 in place of memory; false ends the transfer.
    var sink: (@Sendable ([UInt8]) -> Bool)?

    private(set) var easy: UnsafeMutableRawPointer?
    private let progress: (@Sendable (Int) -> Void)?
    private var list: UnsafeMutablePointer<curl_slist>?
    private var errorText: UnsafeMutablePointer<CChar>?
    private var body: OutgoingBody
    /// Called from any thread with the next piece of a stream, nil when there is none. Set before the transfer starts.
    var fetched: (@Sendable (_ offset: Int, _ bytes: [UInt8]?) -> Void)?
    private var reported = 0
    private var headerBytes = 0
    private var head = HTTPResponse(status: 0)
    /// Why one of the callbacks ended the transfer.
    private var refusal: UplinkError?

    init(_ request: HTTPRequest, progress: (@Sendable (Int) -> Void)?) {
        self.request = request
        self.progress = progress
        body = OutgoingBody(request)
    }

    func finish(_ result: Result<HTTPResponse, UplinkError>) {
        if let whole {
            self.whole = nil
            whole(result)
        }
        guard let pieces else { return }
        self.pieces = nil
        switch result {
        case .success: pieces.finish()
        case .failure(let error): pieces.finish(throwing: error)
        }
    }

    /// Frees what belongs to libcurl. Only when no multi handle holds the easy handle any more.
    func release() {
        if let easy = unsafe easy { unsafe curl_easy_cleanup(easy) }
        if let list = unsafe list { unsafe curl_slist_free_all(list) }
        unsafe errorText?.deallocate()
        body.close()
        unsafe easy = nil
        unsafe list = nil
        unsafe errorText = nil
    }

    // MARK: Setting up

    /// - Parameter fresh: use no connection of the pool.
    func prepare(_ transport: Transport, fresh: Bool) throws(UplinkError) -> UnsafeMutableRawPointer {
        guard let easy = unsafe curl_easy_init() else { throw .local("no curl handle") }
        unsafe self.easy = easy
        let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Self.errorSize)
        unsafe errorText.initialize(repeating: 0, count: Self.errorSize)
        unsafe self.errorText = errorText
        let this = unsafe Unmanaged.passUnretained(self).toOpaque()  // `CurlThread.transfers` retains it
        unsafe try check(ess_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, errorText))
        try set(CURLOPT_NOSIGNAL, 1)
        try set(CURLOPT_FOLLOWLOCATION, 0)
        try set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        // Whatever libcurl can unpack: less on a metered line, and some servers pack without being asked. The limit on the body
        // counts what comes out.
        if pieces == nil { try set(CURLOPT_ACCEPT_ENCODING, "") }
        try set(CURLOPT_TCP_KEEPALIVE, 1)
        try set(CURLOPT_FRESH_CONNECT, fresh ? 1 : 0)
        unsafe try check(ess_curl_set_socket_options(easy))
        try address(transport)
        try method()
        try limits()
        try headerList()
        unsafe try check(ess_curl_set_writer(easy, CURLOPT_WRITEFUNCTION, bodyArrived))
        unsafe try check(ess_curl_set_pointer(easy, CURLOPT_WRITEDATA, this))
        unsafe try check(ess_curl_set_writer(easy, CURLOPT_HEADERFUNCTION, headerArrived))
        unsafe try check(ess_curl_set_pointer(easy, CURLOPT_HEADERDATA, this))
        unsafe try check(ess_curl_set_reader(easy, bodyWanted))
        unsafe try check(ess_curl_set_pointer(easy, CURLOPT_READDATA, this))
        unsafe try check(ess_curl_set_seeker(easy, bodyRewound))
        unsafe try check(ess_curl_set_pointer(easy, CURLOPT_SEEKDATA, this))
        if progress != nil {
            try set(CURLOPT_NOPROGRESS, 0)
            unsafe try check(ess_curl_set_progress(easy, progressed))
            unsafe try check(ess_curl_set_pointer(easy, CURLOPT_XFERINFODATA, this))
        }
        return unsafe easy
    }

    private func address(_ transport: Transport) throws(UplinkError) {
        try set(CURLOPT_URL, request.url)
        switch transport {
        case .unixSocket(let path):
            try set(CURLOPT_PROTOCOLS_STR, "http")
            try set(CURLOPT_UNIX_SOCKET_PATH, path)
            try set(CURLOPT_PROXY, "")
        case .tls(let files, let proxy):
            try set(CURLOPT_PROTOCOLS_STR, "https")
            // Empty: a proxy in the environment is not asked for.
            try set(CURLOPT_PROXY, proxy ?? "")
            try set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
            try set(CURLOPT_SSL_VERIFYPEER, 1)
            try set(CURLOPT_SSL_VERIFYHOST, 2)
            if let authorities = files.authorities {
                try set(CURLOPT_CAINFO, authorities)
                // Or the system's authorities would be believed beside ours.
                unsafe try check(ess_curl_set_text(easy, CURLOPT_CAPATH, nil))
            }
            if let certificate = files.certificate, let key = files.key {
                try set(CURLOPT_SSLCERT, certificate)
                try set(CURLOPT_SSLKEY, key)
            }
        }
    }

    private func method() throws(UplinkError) {
        if let size = body.size {
            try body.open()
            try set(CURLOPT_UPLOAD, 1)
            unsafe try check(ess_curl_set_offset(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(size)))
            // A quarter as many questions for the next bytes as with libcurl's own 64 KiB.
            if size > 1 << 20 { try set(CURLOPT_UPLOAD_BUFFERSIZE, 256 << 10) }
            try set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        } else if request.method == .head {
            try set(CURLOPT_NOBODY, 1)
        } else {
            try set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        }
    }

    private func limits() throws(UplinkError) {
        try set(CURLOPT_CONNECTTIMEOUT_MS, request.limits.connect.wholeMilliseconds)
        if let idle = request.limits.idle {
            try set(CURLOPT_LOW_SPEED_LIMIT, 1)
            try set(CURLOPT_LOW_SPEED_TIME, max(1, Int(idle.components.seconds)))
        }
        if let rate = request.limits.sendRate {
            unsafe try check(ess_curl_set_offset(easy, CURLOPT_MAX_SEND_SPEED_LARGE, curl_off_t(max(1, rate))))
        }
        if let total = request.limits.total { try set(CURLOPT_TIMEOUT_MS, total.wholeMilliseconds) }
    }

    private func headerList() throws(UplinkError) {
        // No `Expect: 100-continue` of libcurl's own: it costs a round trip, or a second of waiting.
        var lines = ["Expect:"]
        for field in request.headers.fields {
            guard !(field.name + field.value).utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }),
                !field.name.isEmpty, !field.name.contains(":")
            else { throw .configuration("a header that cannot be sent") }
            // libcurl drops a header with nothing after the colon; a semicolon says that it is meant.
            lines.append(field.value.isEmpty ? "\(field.name);" : "\(field.name): \(field.value)")
        }
        for line in lines {
            guard let longer = unsafe curl_slist_append(list, line) else { throw .local("out of memory") }
            unsafe list = longer
        }
        unsafe try check(ess_curl_set_list(easy, CURLOPT_HTTPHEADER, list))
    }

    private func set(_ option: CURLoption, _ value: Int) throws(UplinkError) {
        unsafe try check(ess_curl_set_long(easy, option, value))
    }

    private func set(_ option: CURLoption, _ value: String) throws(UplinkError) {
        guard !value.utf8.contains(0) else { throw .configuration("a NUL in a text for libcurl") }
        unsafe try check(ess_curl_set_text(easy, option, value))
    }

    private func check(_ code: CURLcode) throws(UplinkError) {
        guard code == CURLE_OK else { throw .configuration(unsafe String(cString: curl_easy_strerror(code))) }
    }

    // MARK: Callbacks, on the curl thread

    fileprivate func answered(_ bytes: UnsafeRawBufferPointer) -> Int {
        if let pieces {
            if case .enqueued = unsafe pieces.yield([UInt8](bytes)) { return bytes.count }
            refusal = .malformed("more of a stream arrived than anybody read")
            return 0
        }
        if head.status == 200, let sink {
            if unsafe sink([UInt8](bytes)) { return bytes.count }
            refusal = .cancelled
            return 0
        }
        guard head.body.count + bytes.count <= request.limits.body else {
            refusal = .malformed("the answer is larger than \(request.limits.body) bytes")
            return 0
        }
        unsafe head.body.append(contentsOf: bytes)
        return bytes.count
    }

    fileprivate func header(_ bytes: UnsafeRawBufferPointer) -> Int {
        headerBytes += bytes.count
        guard headerBytes <= Self.headerLimit else {
            refusal = .malformed("the answer's head is larger than \(Self.headerLimit) bytes")
            return 0
        }
        let line = unsafe String(decoding: bytes, as: UTF8.self).trimmed
        if line.hasPrefix("HTTP/") {
            let words = line.split(separator: " ")
            head.headers = Headers()
            head.status = words.count > 1 ? Int(words[1]) ?? 0 : 0
        } else if line.isEmpty {
            // An interim answer (1xx) has a head of its own before the real one.
            if pieces != nil, head.status >= 200, let whole {
                self.whole = nil
                whole(.success(head))
            }
        } else if let colon = line.firstIndex(of: ":") {
            head.headers.append(String(line[..<colon]).trimmed, String(line[line.index(after: colon)...]).trimmed)
        }
        return bytes.count
    }

    /// - Returns: what libcurl is told: a count, or one of its constants.
    fileprivate func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        do throws(UplinkError) {
            switch unsafe try body.read(into: buffer) {
            case .filled(let count): return count
            case .later(let offset, let count, let pull):
                // This thread serves all requests: it must not wait for the disk.
                Task { [fetched] in
                    let bytes = try? await pull(offset, count)
                    fetched?(offset, bytes?.count == count ? bytes : nil)
                }
                return Self.pause
            case .underway: return Self.pause
            }
        } catch {
            refusal = error
            return Self.abort
        }
    }

    private static let abort = 0x1000_0000  // CURL_READFUNC_ABORT
    private static let pause = 0x1000_0001  // CURL_READFUNC_PAUSE

    /// The next piece of a stream is here, on the curl thread.
    /// - Returns: false when there is none: the transfer is to be ended.
    func take(_ bytes: [UInt8]?, at offset: Int) -> Bool {
        guard body.take(bytes, at: offset) else {
            refusal = .local("the bytes to send can't be read")
            return false
        }
        return true
    }

    /// What ended it, when it wasn't the network.
    var ownRefusal: UplinkError { refusal ?? .cancelled }

    fileprivate func rewind(to position: Int) -> Bool {
        let before = body.sent
        guard body.rewind(to: position) else { return false }
        if before > position { head.wasRepeated = true }
        return true
    }

    fileprivate func progress(_ bytes: Int) {
        guard bytes != reported, let progress else { return }
        reported = bytes
        progress(bytes)
    }

    // MARK: The end

    func outcome(_ code: CURLcode) -> Result<HTTPResponse, UplinkError> {
        if let refusal { return .failure(refusal) }
        guard code == CURLE_OK else { return .failure(failure(code)) }
        var microseconds: curl_off_t = 0
        _ = unsafe ess_curl_get_offset(easy, CURLINFO_TOTAL_TIME_T, &microseconds)
        head.elapsed = .microseconds(Int64(microseconds))
        return .success(head)
    }

    private func failure(_ code: CURLcode) -> UplinkError {
        var text = unsafe errorText.map { unsafe String(cString: $0) } ?? ""
        if text.isEmpty { text = unsafe String(cString: curl_easy_strerror(code)) }
        return UplinkError(code, text)
    }
}

// The four bridges from C: `client` is the transfer that `prepare` passed, alive as long as its handle is in the multi handle.

private func transfer(_ client: UnsafeMutableRawPointer?) -> Transfer? {
    unsafe client.map { unsafe Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() }
}

private let bodyArrived: curl_write_callback = { buffer, size, count, client in
    guard let transfer = unsafe transfer(client), let buffer = unsafe buffer else { return 0 }
    return unsafe transfer.answered(UnsafeRawBufferPointer(start: buffer, count: size * count))
}

private let headerArrived: curl_write_callback = { buffer, size, count, client in
    guard let transfer = unsafe transfer(client), let buffer = unsafe buffer else { return 0 }
    return unsafe transfer.header(UnsafeRawBufferPointer(start: buffer, count: size * count))
}

private let bodyWanted: curl_read_callback = { buffer, size, count, client in
    let abort = 0x1000_0000  // CURL_READFUNC_ABORT
    guard let transfer = unsafe transfer(client), let buffer = unsafe buffer else { return abort }
    return unsafe transfer.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: size * count))
}

private let bodyRewound: curl_seek_callback = { client, offset, origin in
    guard let transfer = unsafe transfer(client), origin == SEEK_SET else { return CURL_SEEKFUNC_FAIL }
    return transfer.rewind(to: Int(offset)) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL
}

private let progressed: curl_xferinfo_callback = { client, _, _, _, uploaded in
    unsafe transfer(client)?.progress(Int(uploaded))
    return 0
}
