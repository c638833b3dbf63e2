import Clinical
import FoundationEssentials
import Testing

@testable import Formats

@Suite struct DicomRawDataTests {
    private func header() throws -> DicomECGHeader {
        let device = DeviceIdentity(
            driver: "test", vendor: "V", model: "M", serial: nil, firmware: nil, support: .verified)
        let time = try #require(LocalTime(year: 2026, month: 11, day: 22, hour: 9, minute: 30, second: 0))
        return DicomECGHeader(
            subject: .init(
                family: "FICTIF", given: ["A"], id: "p1", issuer: nil, birthDate: "1938-04-12", sex: .female),
            studyInstance: "2.25.1", seriesInstance: "2.25.2", sopInstance: "2.25.3", start: time, fallback: time,
            device: device, software: "test", simulated: true, interrupted: false)
    }

    @Test(arguments: [0, 1, 2, 1001])
    func theSizeIsEvenAndTheIdentityIsFound(size: Int) throws {
        let object = try DicomRawData(try header(), mediaType: "application/edf", payloadSize: size)
        #expect(object.size % 2 == 0)
        #expect(object.size - object.head.count - size == size % 2)
        let identity = try #require(DicomIdentity(head: object.head))
        #expect(identity.study == "2.25.1" && identity.series == "2.25.2" && identity.instance == "2.25.3")
        #expect(try DicomRawData(try header(), mediaType: "application/edf", payloadSize: size).head == object.head)
    }

    @Test func noFileWithoutIdentityIsGivenOne() throws {
        let head = try DicomRawData(try header(), mediaType: "a/b", payloadSize: 4).head
        for count in stride(from: 0, to: head.count, by: 3) { _ = DicomIdentity(head: Array(head[..<count])) }
        #expect(DicomIdentity(head: Array(head[..<200])) == nil)
        #expect(DicomIdentity(head: [UInt8](repeating: 0, count: 400)) == nil)
    }
}
