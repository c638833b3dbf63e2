import Clinical
import Formats
import FoundationEssentials
import Store

/// A recording as a standard file: ECG as a DICOM waveform object, oximetry and sleep as EDF+C. Pure: the same recording and the
/// same patient always give the same bytes.
struct Artefact: Sendable {
    enum Format: String {
        case dicom, edf
        /// EDF+D, which leaves out what has no value; only by an export that asks for it.
        case discontinuous = "edf-d"

        var mediaType: String { self == .dicom ? "application/dicom" : "application/edf" }
    }

    var mediaType: String
    var bytes: [UInt8]

    static func format(of recording: Recording) -> Format {
        switch recording.modality {
        // DICOM states lead and sensitivity of each channel as facts; what has neither goes as EDF+, which can say so.
        case .ecg:
            recording.channels.contains { $0.signal == .other || $0.calibration == .unverified } ? .edf : .dicom
        case .oximetry, .sleep, .bloodPressure, .vitals, .imaging, .other: .edf
        }
    }

    /// The preferred form, or EDF+ where that one can't say the recording exactly; nil where no standard file can: then the
    /// original bytes are what is sent, rather than nothing.
    static func best(
        _ recording: Recording, waveform: Waveform, notes: [Note], patient: Patient?
    ) async -> (artefact: Artefact?, refusals: [EncodeError]) {
        var refusals: [EncodeError] = []
        for format in format(of: recording) == .dicom ? [Format.dicom, .edf] : [.edf] {
            do {
                let artefact = try await render(format, recording, waveform: waveform, notes: notes, patient: patient)
                return (artefact, refusals)
            } catch {
                refusals.append(error)
            }
        }
        return (nil, refusals)
    }

    /// Media type of what the device or card delivered. An archive of images takes a DICOM object as what it is.
    static func originalMediaType(_ bytes: [UInt8]) -> String {
        DicomWaveformFile.isPart10(bytes) ? Format.dicom.mediaType : "application/octet-stream"
    }

    /// What is sent in place of original bytes that are missing: the values themselves, as they are kept.
    static let listingMediaType = "application/json"

    /// - Throws: never for what the store keeps.
    static func listing(_ readings: [Reading]) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return Array(try encoder.encode(readings))
    }

    /// - Parameters:
    ///   - patient: whose it is; nil only for an export of what is nobody's yet, which then says so.
    ///   - recording: with the start time that holds.
    /// - Throws: `EncodeError` where the format would need rounding or clipping.
    @concurrent
    static func render(
        _ format: Format, _ recording: Recording, waveform: Waveform, notes: [Note], patient: Patient?
    ) async throws(EncodeError) -> Artefact {
        let start = recording.localStart
        let simulated = recording.origin == .simulated
        let interrupted = recording.state == .interrupted
        switch format {
        case .edf, .discontinuous:
            let header = EDFHeader(
                patientCode: patient?.id, sex: patient?.sex ?? .unknown, birthDate: patient?.birthDate,
                name: patient.map { ([$0.family] + $0.given.prefix(1)).joined(separator: " ") }, start: start,
                administrationCode: String(recording.id.description.prefix(13)),
                equipment: "\(recording.device.vendor) \(recording.device.model)", simulated: simulated)
            return Artefact(
                mediaType: format.mediaType,
                bytes: try EDFWriter.write(
                    waveform, header: header, notes: notes, interrupted: interrupted,
                    continuity: format == .edf ? .automatic : .discontinuous))
        case .dicom:
            let id = recording.id.uuid
            func uid(_ role: String) -> String { DicomUID.make(DocumentHasher.uuid5(namespace: id, name: role)) }
            guard let fallback = localTime(ofUnixMilliseconds: recording.clock.hostWall).time else {
                throw .invalid("the laptop's clock names no date")
            }
            let header = DicomECGHeader(
                subject: .init(
                    family: patient?.family, given: patient?.given ?? [], id: patient?.id ?? "NON-ATTRIBUE",
                    issuer: nil,
                    birthDate: patient?.birthDate, sex: patient?.sex ?? .unknown, ins: patient?.qualifiedINS),
                studyInstance: uid("study"), seriesInstance: uid("series"), sopInstance: uid("instance"), start: start,
                fallback: fallback, device: recording.device, software: "ess-agent \(agentVersion)",
                simulated: simulated,
                interrupted: interrupted)
            return Artefact(
                mediaType: format.mediaType, bytes: try DicomECGWriter.write(waveform, header: header, notes: notes))
        }
    }
}

extension Recording {
    /// The start in local time as far as anybody knows it: the device's or file's own, else the laptop's for a live capture.
    var localStart: LocalTime? {
        switch clock.source {
        case .host: localTime(ofUnixMilliseconds: clock.hostWall).time
        case .device, .file, .person: clock.deviceStart
        case .unknown: nil
        }
    }

    /// The start with the zone of this laptop, for FHIR.
    var zonedStart: String? {
        switch clock.source {
        case .host: rfc3339(unixMilliseconds: clock.hostWall)
        case .device, .file, .person: clock.deviceStart.map { rfc3339($0, utcOffsetMinutes: utcOffsetMinutes(at: $0)) }
        case .unknown: nil
        }
    }

    /// When what was recorded ended: counted from the start, whatever the clocks on the wall did meanwhile.
    /// - Parameter seconds: of samples; nil is the answer for none.
    func zonedEnd(lasting seconds: Double) -> String? {
        guard seconds > 0, seconds < 1e9 else { return nil }
        let start: Int64
        switch clock.source {
        case .host: start = clock.hostWall
        case .device, .file, .person:
            guard let local = clock.deviceStart else { return nil }
            start = Int64(local.civilSeconds - utcOffsetMinutes(at: local) * 60) * 1000
        case .unknown: return nil
        }
        return rfc3339(unixMilliseconds: start + Int64(seconds * 1000))
    }
}
