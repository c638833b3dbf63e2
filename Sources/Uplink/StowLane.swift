import FHIR
import FoundationEssentials

/// U3: documents as DICOM objects to a PACS (PS3.18 10.5). What such servers get wrong is in sync.md 1.4: success is that the
/// object's SOP Instance UID is listed as stored, and proof only what WADO-RS gives back.
public struct StowLane: WholeLane {
    public let maxSize: Int?
    private let link: ServerLink
    private let root: String
    private let options: WholeOptions

    /// - Parameter root: of DICOMweb, below which `studies` is.
    public init(_ link: ServerLink, root: String, maxSize: Int? = nil, options: WholeOptions) throws(UplinkError) {
        self.link = link
        self.root = try link.below(root)
        self.maxSize = maxSize
        self.options = options
    }

    public func address(of content: WholeContent) -> String? { content.dicom.map(url) }

    private func url(_ address: DicomAddress) -> String {
        "\(root)/studies/\(address.study)/series/\(address.series)/instances/\(address.instance)"
    }

    public func store(
        _ content: WholeContent, progress: @escaping @Sendable (Int) -> Void
    ) async throws(UplinkError) {
        guard let dicom = content.dicom else { throw .local("a document without DICOM identity for a PACS") }
        if let maxSize, content.size > maxSize {
            throw .permanent(status: 413, "larger than the \(maxSize) bytes that the server takes")
        }
        // One object a request: what is refused is this one, and what is retried is no more than this one. No parameter on the
        // part's type and a closing boundary: some answer 200 and store nothing otherwise.
        let boundary = "ess-\(content.item.rid.text)"
        let head = Array("--\(boundary)\r\nContent-Type: application/dicom\r\n\r\n".utf8)
        let tail = Array("\r\n--\(boundary)--\r\n".utf8)
        let size = content.size
        let read = content.read
        let pull: @Sendable (Int, Int) async throws -> [UInt8] = { offset, count in
            var bytes: [UInt8] = []
            var at = offset
            let end = offset + count
            if at < head.count {
                bytes += head[at..<min(head.count, end)]
                at = min(head.count, end)
            }
            if at < end, at < head.count + size {
                let part = min(end, head.count + size) - at
                bytes += try await read(at - head.count, part)
                at += part
            }
            if at < end { bytes += tail[(at - head.count - size)..<(end - head.count - size)] }
            return bytes
        }
        let response = try await link.exchange(
            .post, "\(root)/studies/\(dicom.study)",
            headers: [
                "Content-Type": "multipart/related; type=\"application/dicom\"; boundary=\(boundary)",
                "Accept": "application/dicom+json",
            ], body: .stream(size: head.count + size + tail.count, pull: pull),
            limits: HTTPRequest.Limits(
                total: ServerLink.patience(size, sendRate: options.sendRate), sendRate: options.sendRate),
            progress: { progress(min(max(0, $0 - head.count), size)) })
        try judge(response, dicom)
    }

    private func judge(_ response: HTTPResponse, _ dicom: DicomAddress) throws(UplinkError) {
        if response.isHTML { throw .captivePortal("HTML to an object") }
        let outcome = try? JSONDecoder().decode(StowOutcome.self, from: Data(response.body))
        // Listed as stored is stored, also on a 202 or a 400 that is about something else.
        if let outcome, outcome.stored.contains(dicom.instance) { return }
        let reason = outcome?.failures[dicom.instance]
        switch response.status {
        case 409, 200...299:
            guard reason == 0x0110 || reason == nil else {
                throw .permanent(status: 409, "the PACS refuses the object, reason \(reason ?? 0)")
            }
            // 200 with an empty list: some say so when they have stored nothing.
            throw .permanent(status: response.status, "the PACS does not list the object as stored")
        default:
            if let error = UplinkError(response, from: link.origin) { throw error }
            throw .malformed("\(response.status) to an object")
        }
    }

    public func readBack(_ content: WholeContent) async throws(UplinkError) -> ReceiptAnswer {
        guard let dicom = content.dicom else { throw .local("a document without DICOM identity for a PACS") }
        guard try await isListed(dicom) else { return .unknown }
        let stream = try await link.download(
            url(dicom), accept: "multipart/related; type=\"application/dicom\"; transfer-syntax=*", size: content.size)
        // Listed, and not to be had yet.
        if [404, 410, 202].contains(stream.status) { return .pending(retryAfter: .seconds(1)) }
        guard stream.status == 200 || stream.status == 206 else { throw await link.refusal(of: stream) }
        var part = MultipartObject(options.makeHash(), options.makeHash(), limit: content.mostGivenBack)
        do {
            for try await piece in stream.pieces {
                part.take(piece)
                guard part.wantsMore else { break }
            }
        } catch { throw error as? UplinkError ?? .link("cut while answering") }
        // Longer than what was sent: other bytes.
        if part.isTooLong { return .otherHash("") }
        guard let found = part.finish() else { throw .malformed("not one DICOM object") }
        // The whole of it, or all but the file's own head, which a PACS may write anew under its name.
        let own = try await hashes(content)
        guard found.whole == own.whole || found.dataset == own.dataset else { return .otherHash(found.whole) }
        return .stored(content.receipt(stream.headers["Date"]))
    }

    /// QIDO-RS: 204, or an empty list, for "no".
    private func isListed(_ dicom: DicomAddress) async throws(UplinkError) -> Bool {
        let response = try await link.exchange(
            .get, "\(root)/studies/\(dicom.study)/instances?SOPInstanceUID=\(dicom.instance)",
            headers: ["Accept": "application/dicom+json"])
        if response.status == 204 || response.status == 404 { return false }
        if let error = UplinkError(response, from: link.origin) { throw error }
        if response.isHTML { throw .captivePortal("HTML to a search") }
        guard let found = try? JSONDecoder().decode([DicomJSON].self, from: Data(response.body)) else {
            throw .malformed("not a list of DICOM objects")
        }
        return found.contains { $0["00080018"] == [dicom.instance] }
    }

    private func hashes(_ content: WholeContent) async throws(UplinkError) -> (whole: String, dataset: String) {
        var part = MultipartObject(options.makeHash(), options.makeHash(), limit: content.size)
        part.beginsAtOnce()
        var offset = 0
        while offset < content.size {
            let count = min(1 << 20, content.size - offset)
            do {
                part.take(try await content.read(offset, count))
            } catch { throw .local("\(type(of: error))") }
            offset += count
        }
        guard let own = part.finish() else { throw .local("the document is not a DICOM object") }
        return own
    }
}

/// The one object in a multipart answer, hashed as it comes: the whole file, and what follows its file meta information.
struct MultipartObject {
    private var whole: any RunningHash
    private var dataset: any RunningHash
    private let limit: Int
    private var head: [UInt8] = []
    private var boundary: [UInt8] = []
    private var hasBegun = false
    private var isPlain = false
    /// Bytes that may be the closing boundary.
    private var tail: [UInt8] = []
    private var count = 0
    private var start: [UInt8] = []
    private var isDone = false
    /// Bytes after the object's end.
    private var surplus = 0

    var isTooLong: Bool { count > limit }

    /// Nothing that may still come changes what it is; an answer needn't have an end. A short rest is taken, so that the
    /// connection can be used again.
    var wantsMore: Bool { !isTooLong && surplus <= 64 << 10 }

    init(_ whole: any RunningHash, _ dataset: any RunningHash, limit: Int) {
        self.whole = whole
        self.dataset = dataset
        self.limit = limit
    }

    /// What comes is the object itself.
    mutating func beginsAtOnce() {
        hasBegun = true
        isPlain = true
    }

    mutating func take(_ piece: [UInt8]) {
        guard !isDone else {
            surplus += piece.count
            return
        }
        guard !hasBegun else { return object(piece) }
        head += piece
        guard let end = head.firstRange(of: [13, 10, 13, 10]) else {
            isDone = head.count > 64 << 10
            return
        }
        // A preamble may come before the first boundary.
        let lines = head[..<end.lowerBound].split(separator: 10)
        guard let line = lines.first(where: { $0.starts(with: [45, 45]) }) else {
            isDone = true
            return
        }
        boundary = [13, 10] + line.filter { $0 != 13 && $0 != 32 }
        hasBegun = true
        let rest = Array(head[end.upperBound...])
        head = []
        object(rest)
    }

    private mutating func object(_ piece: [UInt8]) {
        guard !isPlain else { return hash(piece[...]) }
        tail += piece
        if let end = tail.firstRange(of: boundary) {
            hash(tail[..<end.lowerBound])
            isDone = true
            isPlain = true
            return
        }
        let safe = max(0, tail.count - boundary.count)
        hash(tail[..<safe])
        tail.removeFirst(safe)
    }

    private mutating func hash(_ bytes: ArraySlice<UInt8>) {
        guard count <= limit else { return }
        whole.update(bytes)
        // The file meta information ends where its group length says (PS3.10 7.1): 144 bytes, then that many.
        if start.count < 144 { start += bytes.prefix(144 - start.count) }
        if start.count == 144 {
            let length = start[140..<144].reversed().reduce(0) { $0 << 8 | Int($1) }
            let skip = max(0, 144 + length - count)
            if skip < bytes.count { dataset.update(bytes.dropFirst(skip)) }
        }
        count += bytes.count
    }

    /// Nil when it was cut, too long, or no DICOM file.
    func finish() -> (whole: String, dataset: String)? {
        guard hasBegun, isPlain, count <= limit, start.count == 144, start[128..<132].elementsEqual("DICM".utf8) else {
            return nil
        }
        return (whole.finish(), dataset.finish())
    }
}

/// What matters in DICOM JSON: the texts and numbers of an element, and its items (PS3.18 annex F).
private struct DicomJSON: Decodable {
    private struct Element: Decodable {
        var values: [Value]
        private enum Key: CodingKey { case Value }
        init(from decoder: any Decoder) throws {
            values = try decoder.container(keyedBy: Key.self).decodeIfPresent([Value].self, forKey: .Value) ?? []
        }
    }

    private enum Value: Decodable {
        case text(String)
        case item(DicomJSON)
        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                self = .text(text)
            } else if let number = try? container.decode(Double.self) {
                self = .text("\(Int(number))")
            } else {
                self = .item((try? container.decode(DicomJSON.self)) ?? DicomJSON())
            }
        }
    }

    private var elements: [String: Element] = [:]

    init() {}
    init(from decoder: any Decoder) throws {
        elements = try decoder.singleValueContainer().decode([String: Element].self)
    }

    subscript(_ tag: String) -> [String] {
        elements[tag]?.values.compactMap { if case .text(let text) = $0 { text } else { nil } } ?? []
    }

    func items(_ tag: String) -> [DicomJSON] {
        elements[tag]?.values.compactMap { if case .item(let item) = $0 { item } else { nil } } ?? []
    }
}

/// The answer to a store (PS3.18 10.5.3): which objects are in, and why others aren't.
struct StowOutcome: Decodable {
    var stored: Set<String>
    var failures: [String: Int]

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let answer: DicomJSON
        if let one = try? container.decode(DicomJSON.self) {
            answer = one
        } else {
            answer = try container.decode([DicomJSON].self).first ?? DicomJSON()
        }
        stored = Set(answer.items("00081199").flatMap { $0["00081155"] })
        failures = Dictionary(
            answer.items("00081198").compactMap { item in
                item["00081155"].first.map { ($0, item["00081197"].first.flatMap { Int($0) } ?? 0) }
            }
        ) { $1 }
    }
}
