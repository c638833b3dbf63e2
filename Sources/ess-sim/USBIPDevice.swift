import Devices
import Wire

/// A simulated device as a host controller sees it: control requests, IN transfers that wait, OUT transfers.
struct USBIPDevice {
    struct Completion {
        var sequence: UInt32
        var status: Int32 = 0
        var actual = 0
        var content: [UInt8] = []

        var bytes: [UInt8] { USBIP.submitted(sequence, status: status, actual: actual, content: content) }
    }

    /// Reports that nobody has fetched; a device has no room for more.
    private static let mostReports = 512
    /// Bytes of a serial bridge or a bulk pipe that nobody has fetched.
    private static let mostBytes = 1 << 20

    let persona: USBPersona
    let serial: String
    let busID: String
    let number: UInt32
    private let make: () -> any DeviceSimulator
    private var device: any DeviceSimulator
    /// An IN endpoint: what the device has to say there, and transfers that wait for it.
    private struct Inlet {
        var outgoing: [[UInt8]] = []
        var waiting: [(sequence: UInt32, length: Int)] = []

        mutating func queue(_ portion: [UInt8], isReports: Bool) {
            outgoing.append(portion)
            if isReports {
                if outgoing.count > USBIPDevice.mostReports { outgoing.removeFirst() }
            } else {
                while outgoing.count > 1, outgoing.reduce(0, { $0 + $1.count }) > USBIPDevice.mostBytes {
                    outgoing.removeFirst()
                }
            }
        }

        mutating func deliver(isReports: Bool) -> [Completion] {
            var completions: [Completion] = []
            while !outgoing.isEmpty, !waiting.isEmpty {
                let (sequence, length) = waiting.removeFirst()
                let portion = outgoing.removeFirst()
                if portion.count > length, isReports {
                    completions.append(Completion(sequence: sequence, status: USBIP.Status.overflow))
                    continue
                }
                if portion.count > length { outgoing.insert(Array(portion[length...]), at: 0) }
                let content = Array(portion.prefix(length))
                completions.append(Completion(sequence: sequence, actual: content.count, content: content))
            }
            return completions
        }
    }

    /// By endpoint number.
    private var inlets: [UInt8: Inlet] = [:]

    /// - Parameter make: a device that was just switched on.
    init(persona: USBPersona, serial: String, number: Int, make: @escaping () -> any DeviceSimulator) {
        self.persona = persona
        self.serial = serial
        self.number = UInt32(number)
        busID = "1-\(number)"
        self.make = make
        device = make()
        attach()
    }

    /// Plugged in: as new.
    mutating func attach() {
        device = make()
        inlets = [persona.input & 0x0F: Inlet()]
        if let besides = persona.besides { inlets[besides & 0x0F] = Inlet() }
    }

    /// As `OP_REP_DEVLIST` and `OP_REP_IMPORT` have it.
    func description(withInterfaces: Bool) -> [UInt8] {
        func padded(_ text: String, to count: Int) -> [UInt8] {
            let bytes = Array(text.utf8.prefix(count - 1))
            return bytes + Array(repeating: 0, count: count - bytes.count)
        }
        var writer = ByteWriter()
        writer.append(contentsOf: padded("/sys/devices/simulated/usb1/\(busID)", to: 256))
        writer.append(contentsOf: padded(busID, to: USBIP.busIDSize))
        writer.bigEndian(UInt32(1))
        writer.bigEndian(number)
        // Full speed.
        writer.bigEndian(UInt32(2))
        writer.bigEndian(persona.vendorID)
        writer.bigEndian(persona.productID)
        writer.bigEndian(UInt16(0x0100))
        // Class by interface, configuration 1 of 1, one interface.
        writer.append(contentsOf: [0, 0, 0, 1, 1, 1])
        return writer.bytes + (withInterfaces ? persona.interface + [0] : [])
    }

    mutating func submit(_ request: USBIP.Request, _ content: [UInt8], at now: UInt64) -> [Completion] {
        if request.endpoint == 0 { return control(request, content, at: now) }
        if request.isInput {
            guard inlets[request.endpoint] != nil else { return [refused(request)] }
            inlets[request.endpoint]?.waiting.append((request.sequence, request.length))
            return deliver()
        }
        guard request.endpoint == persona.output & 0x0F, hasOutput else { return [refused(request)] }
        queue(device.received(content, at: now))
        return [Completion(sequence: request.sequence, actual: content.count)] + deliver()
    }

    /// True when the transfer was still waiting.
    mutating func unlink(_ sequence: UInt32) -> Bool {
        for (number, inlet) in inlets {
            guard let index = inlet.waiting.firstIndex(where: { $0.sequence == sequence }) else { continue }
            inlets[number]?.waiting.remove(at: index)
            return true
        }
        return false
    }

    mutating func tick(at now: UInt64) -> [Completion] {
        queue(device.tick(at: now))
        return deliver()
    }

    func nextTick(after now: UInt64) -> UInt64? { device.nextTick(after: now) }

    private var hasOutput: Bool { if case .hid(_, let hasOutput) = persona.kind { hasOutput } else { true } }

    private func refused(_ request: USBIP.Request) -> Completion {
        Completion(sequence: request.sequence, status: USBIP.Status.stalled)
    }

    private mutating func queue(_ portions: [[UInt8]]) {
        for portion in portions where !portion.isEmpty {
            let endpoint = persona.besides.flatMap { device.isBeside(portion) ? $0 : nil } ?? persona.input
            let isReports = persona.isReports
            inlets[endpoint & 0x0F]?.queue(portion, isReports: isReports)
        }
    }

    private mutating func deliver() -> [Completion] {
        let isReports = persona.isReports
        return inlets.keys.sorted().flatMap { inlets[$0]?.deliver(isReports: isReports) ?? [] }
    }

    // MARK: Control (USB 2.0, chapter 9; HID 1.11, chapter 7)

    private mutating func control(_ request: USBIP.Request, _ content: [UInt8], at now: UInt64) -> [Completion] {
        let setup = request.setup
        let value = UInt16(setup[2]) | UInt16(setup[3]) << 8
        let index = UInt16(setup[4]) | UInt16(setup[5]) << 8
        if setup[0] & 0x80 != 0 {
            guard let answer = answer(to: setup, value: value) else { return [refused(request)] }
            let length = min(request.length, Int(setup[6]) | Int(setup[7]) << 8)
            let bytes = Array(answer.prefix(length))
            return [Completion(sequence: request.sequence, actual: bytes.count, content: bytes)]
        }
        switch (setup[0], setup[1], persona.kind) {
        case (0x00, 0x09, _):
            // What nobody has fetched is of the configuration before.
            for number in inlets.keys { inlets[number]?.outgoing = [] }
            device.configured(setup[2], at: now)
            return [Completion(sequence: request.sequence)]
        case (0x01, 0x0B, _), (0x02, 0x01, _), (0x00, 0x01, _), (0x00, 0x03, _),
            (0x21, 0x0A, .hid), (0x21, 0x0B, .hid):
            return [Completion(sequence: request.sequence)]
        case (0x21, 0x09, .hid):
            if value >> 8 == 2 {
                queue(device.received(content, at: now))
            } else {
                queue(
                    device.controlled(
                        ControlRequest(type: setup[0], request: setup[1], value: value, index: index, data: content),
                        at: now))
            }
            return [Completion(sequence: request.sequence, actual: content.count)] + deliver()
        case (0x40, _, .serialBridge), (0x41, _, .serialBridge):
            // CP210x: IFC_ENABLE off, and PURGE.
            if (setup[1] == 0x00 && value == 0) || setup[1] == 0x12 {
                inlets[persona.input & 0x0F]?.outgoing = []
            }
            return [Completion(sequence: request.sequence, actual: content.count)]
        default: return [refused(request)]
        }
    }

    private func answer(to setup: [UInt8], value: UInt16) -> [UInt8]? {
        switch (setup[0], setup[1], value >> 8, persona.kind) {
        case (0x80, 0x06, 1, _): persona.deviceDescriptor
        case (0x80, 0x06, 2, _): persona.configurationDescriptor
        case (0x80, 0x06, 3, _): persona.string(UInt8(truncatingIfNeeded: value), serial: serial)
        case (0x81, 0x06, 0x22, .hid): persona.reportDescriptor
        case (0x80, 0x08, _, _): [1]
        case (0x80...0x82, 0x00, _, _): [0, 0]
        case (0x81, 0x0A, _, _): [0]
        // CP210x: its part number is that of a CP2102; lines and settings are all off.
        case (0xC0, 0xFF, 0x37, .serialBridge) where value == 0x370B: [0x02]
        case (0xC0, _, _, .serialBridge), (0xC1, _, _, .serialBridge): Array(repeating: 0, count: 64)
        default: nil
        }
    }
}
