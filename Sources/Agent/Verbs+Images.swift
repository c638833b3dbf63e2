import Clinical
import Formats
import FoundationEssentials
import Store

/// What can be shown of an imported image or report before the cardiologist reads it.
public struct ImagesView: Codable, Sendable, Equatable {
    public var recording: String
    /// The first picture, small; missing when its compression can't be shown here.
    public var preview: PreviewView?
    /// Numbers of a structured report, as the program that wrote it gives them: never validated.
    public var measurements: [MeasurementView]
    /// Who wrote the report: manufacturer, model, version.
    public var producer: [String]

    public struct PreviewView: Codable, Sendable, Equatable {
        public var mediaType: String
        /// Base64.
        public var data: String
    }

    public struct MeasurementView: Codable, Sendable, Equatable {
        public var name: String
        public var value: String
        public var unit: String?
        public var modifiers: [String]
    }
}

extension Verbs {
    /// The beginning of a loop, in which its first picture is.
    private static let previewHead = 16 << 20
    /// More values than anybody reads on the page; the report itself has them all.
    private static let valueLimit = 500

    public func images(_ id: String) async throws -> ImagesView {
        try await guarded {
            let detail = try await detail(id)
            var view = ImagesView(recording: "\(detail.recording.id)", preview: nil, measurements: [], producer: [])
            guard detail.summary.purgedAt == nil else { return view }
            let head = try await store.original(detail.recording.id, from: 0, about: Self.previewHead)
            await Self.fill(&view, from: head.bytes, isWhole: head.bytes.count == detail.summary.bytes)
            return view
        }
    }

    /// Off the caller's actor: a loop has many megabytes.
    @concurrent
    private static func fill(_ view: inout ImagesView, from bytes: [UInt8], isWhole: Bool) async {
        switch DicomPreview.picture(of: bytes) {
        case .jpeg(let picture)?: view.preview = .init(mediaType: "image/jpeg", data: base64(picture))
        case .bitmap(let picture)?: view.preview = .init(mediaType: "image/bmp", data: base64(picture))
        case nil: break
        }
        guard isWhole, bytes.count <= DicomReport.sizeLimit, let report = try? DicomReport(decoding: bytes) else {
            return
        }
        view.producer = [report.manufacturer, report.model, report.software].compactMap(\.self)
        view.measurements = report.measurements.prefix(Self.valueLimit).map {
            ImagesView.MeasurementView(
                name: $0.name.meaning, value: $0.value, unit: $0.unit?.value, modifiers: $0.modifiers.map(\.meaning))
        }
    }

    private static func base64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }
}
