import Testing
import Wire

@Suite struct USBShapeTests {
    /// HID 1.11, sections 4.2 and 4.3.
    @Test("a boot keyboard or mouse is nobody's monitor", arguments: [(1, 1), (1, 2)] as [(UInt8, UInt8)])
    func peoplesOwn(subclass: UInt8, number: UInt8) {
        #expect(!USBShape.Interface.reports.fits(code: 3, subclass: subclass, protocol: number))
        #expect(USBShape.Interface.ofClass(3).fits(code: 3, subclass: subclass, protocol: number))
    }

    @Test("any other HID interface may be", arguments: [(0, 0), (1, 0), (0, 1), (0, 2), (1, 3)] as [(UInt8, UInt8)])
    func others(subclass: UInt8, number: UInt8) {
        #expect(USBShape.Interface.reports.fits(code: 3, subclass: subclass, protocol: number))
        #expect(!USBShape.Interface.reports.fits(code: 8, subclass: subclass, protocol: number))
    }

    @Test("only a request to an interface gets its number, and keeps what stands above it")
    func addressed() {
        func index(_ type: UInt8, _ index: UInt16) -> UInt16 {
            ControlRequest(type: type, request: 0x09, value: 0x0300, index: index).addressed(to: 3).index
        }
        #expect(index(0x21, 0) == 3 && index(0xA1, 0x1200) == 0x1203 && index(0x41, 7) == 3)
        // To the device, an endpoint, something else.
        #expect(index(0x80, 0x0409) == 0x0409 && index(0x02, 0x81) == 0x81 && index(0x23, 1) == 1)
        let request = ControlRequest(type: 0x21, request: 0x09, value: 0x0300, index: 0, data: [1, 2], length: 5)
        let sent = ControlRequest(type: 0x21, request: 0x09, value: 0x0300, index: 3, data: [1, 2], length: 5)
        #expect(request.addressed(to: 3) == sent)
    }
}
