import Clinical
import Wire

@testable import Devices

/// What a device says, frame by frame: for what the simulated ones would not say.
enum PhdcFrames {
    typealias ID = PhdcAttributeID

    static func association(_ configuration: UInt16) -> [UInt8] {
        var information = PhdcAssociationInformation(
            systemType: 0x0080_0000, systemID: [0x0A, 0x1B, 0x2C, 0xFF, 0xFE, 0, 4, 4])
        information.configuration = configuration
        information.requestModes = 1
        return PhdcApdu.associationRequest(PhdcAssociationRequest(information)).wire
    }

    static func configuration(_ objects: [PhdcObject], id: UInt16 = 0x4000) -> [UInt8] {
        event(PhdcEventType.configuration, PhdcConfigurationReport(id: id, objects: objects).wire, invoke: 1)
    }

    static func event(
        _ type: UInt16, _ info: [UInt8], handle: UInt16 = 0, invoke: UInt16, confirmed: Bool = true
    ) -> [UInt8] {
        let event = PhdcEvent(handle: handle, time: 0, type: type, info: info)
        return message(.event(event, confirmed: confirmed), invoke)
    }

    static func message(_ message: PhdcMessage, _ invoke: UInt16) -> [UInt8] {
        PhdcApdu.presentation(PhdcData(invoke, message)).wire
    }

    /// The device's attributes, as it answers the question who it is.
    static func identity(_ attributes: [PhdcAttribute]) -> [UInt8] { message(.getResponse(handle: 0, attributes), 0) }

    /// A fixed report of the device itself; with persons when the items have them.
    static func report(
        _ items: [PhdcScanReport.Item], number: UInt16 = 0, confirmed: Bool = true
    ) -> [UInt8] {
        let hasPersons = items.contains { $0.person != nil }
        return event(
            hasPersons ? 0x0D1F : 0x0D1D, PhdcScanReport(number: number, items: items).wire, invoke: 2 + number,
            confirmed: confirmed)
    }

    static func segments(_ list: [PhdcSegmentInfo], of store: UInt16) -> [UInt8] {
        message(
            .actionResponse(
                PhdcAction(handle: store, type: PhdcActionType.segmentInfo, info: PhdcSegmentInfo.wire(list))), 2)
    }

    static func entries(_ data: PhdcSegmentData, of store: UInt16, invoke: UInt16 = 9) -> [UInt8] {
        event(PhdcEventType.segmentData, data.wire, handle: store, invoke: invoke)
    }

    /// The device's side alone, heard.
    static func heard(_ frames: [[UInt8]], after: Double = 0.05) -> ReplayReport {
        replay(
            Transcript(
                header: TranscriptHeader(model: "simulated", date: "2026-11-22"),
                events: frames.map { .received($0, after: after) }), through: Phdc.profile)
    }
}

extension [UInt8] {
    func contains(stretch: [UInt8]) -> Bool {
        count >= stretch.count && indices.dropLast(stretch.count - 1).contains { self[$0...].starts(with: stretch) }
    }
}
