import Glibc
import Synchronization
import Wire

/// One thread that waits for its listening socket, its connections and its devices' clocks.
struct USBIPServer {
    private struct Connection {
        var descriptor: Int32
        var incoming: [UInt8] = []
        var outgoing: [UInt8] = []
        /// The device that was imported: the second phase of the protocol.
        var device: Int?
        var isOver = false
    }

    private let listener: Int32
    let port: UInt16
    private var devices: [USBIPDevice]
    private var connections: [Connection] = []

    init(address: String, port: UInt16, devices: [USBIPDevice]) throws {
        self.devices = devices
        (listener, self.port) = try Self.listen(address, port)
    }

    private static func listen(_ address: String, _ port: UInt16) throws -> (Int32, UInt16) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        guard listener >= 0 else { throw SystemFailure("socket") }
        var one: Int32 = 1
        // The values outlive each call, and their sizes go along.
        _ = unsafe setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = port.bigEndian
        guard unsafe inet_pton(AF_INET, address, &place.sin_addr) == 1 else { throw SystemFailure("inet_pton") }
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = unsafe withUnsafeMutablePointer(to: &place) { place in
            unsafe place.withMemoryRebound(to: sockaddr.self, capacity: 1) { place in
                guard unsafe bind(listener, place, size) == 0, Glibc.listen(listener, 16) == 0 else { return false }
                return unsafe getsockname(listener, place, &size) == 0
            }
        }
        guard bound else { throw SystemFailure("bind") }
        guard fcntl(listener, F_SETFL, O_NONBLOCK) == 0 else { throw SystemFailure("fcntl") }
        return (listener, UInt16(bigEndian: place.sin_port))
    }

    mutating func serve() {
        endOnSignals()
        _ = signal(SIGPIPE, SIG_IGN)
        while !isOver.load(ordering: .relaxed) {
            wait()
            let now = monotonicNow()
            for index in connections.indices {
                guard let device = connections[index].device else { continue }
                connections[index].outgoing += devices[device].tick(at: now).flatMap(\.bytes)
            }
            for index in connections.indices { flush(index) }
            for connection in connections where connection.isOver { _ = close(connection.descriptor) }
            connections.removeAll(where: \.isOver)
        }
        for connection in connections { _ = close(connection.descriptor) }
        _ = close(listener)
    }

    private mutating func wait() {
        let now = monotonicNow()
        let next = connections.compactMap(\.device).compactMap { devices[$0].nextTick(after: now) }.min()
        let pause = next.map { Int32(clamping: ($0 - min($0, now)) / 1_000_000) + 1 } ?? 100
        var entries = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
        for connection in connections {
            let events = POLLIN | (connection.outgoing.isEmpty ? 0 : POLLOUT)
            entries.append(pollfd(fd: connection.descriptor, events: Int16(events), revents: 0))
        }
        // The array is ours and its count goes with it.
        guard unsafe poll(&entries, nfds_t(entries.count), min(pause, 100)) > 0 else { return }
        for (index, entry) in entries.dropFirst().enumerated() where entry.revents & ~Int16(POLLOUT) != 0 {
            receive(index)
        }
        if entries[0].revents != 0 { accept() }
    }

    private mutating func accept() {
        let descriptor = Glibc.accept(listener, nil, nil)
        guard descriptor >= 0 else { return }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        var one: Int32 = 1
        _ = unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        connections.append(Connection(descriptor: descriptor))
    }

    private mutating func receive(_ index: Int) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        // `buffer` outlives the call, and its size is passed along.
        let count = unsafe read(connections[index].descriptor, &buffer, buffer.count)
        guard count > 0 else {
            connections[index].isOver = count == 0 || errno != EAGAIN
            return
        }
        connections[index].incoming += buffer[..<count]
        while !connections[index].isOver, connections[index].device == nil ? greet(index) : obey(index) {}
    }

    private mutating func flush(_ index: Int) {
        guard !connections[index].outgoing.isEmpty, !connections[index].isOver else { return }
        let bytes = connections[index].outgoing
        // `bytes` outlives the call, and its size is passed along.
        let count = unsafe write(connections[index].descriptor, bytes, bytes.count)
        if count > 0 { connections[index].outgoing.removeFirst(count) }
        if count < 0, errno != EAGAIN { connections[index].isOver = true }
    }

    /// The first phase: a list, or an import. False when there is no whole request.
    private mutating func greet(_ index: Int) -> Bool {
        let bytes = connections[index].incoming
        guard bytes.count >= USBIP.basicSize else { return false }
        let version = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
        let operation = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        guard version == USBIP.version else {
            connections[index].isOver = true
            return false
        }
        switch operation {
        case USBIP.Operation.deviceList:
            connections[index].incoming.removeFirst(USBIP.basicSize)
            var answer = USBIP.reply(operation, status: 0)
            var count = ByteWriter()
            count.bigEndian(UInt32(devices.count))
            answer += count.bytes + devices.flatMap { $0.description(withInterfaces: true) }
            connections[index].outgoing += answer
            return true
        case USBIP.Operation.importDevice:
            guard bytes.count >= USBIP.basicSize + USBIP.busIDSize else { return false }
            let busID = String(
                decoding: bytes[USBIP.basicSize..<USBIP.basicSize + USBIP.busIDSize].prefix { $0 != 0 },
                as: UTF8.self)
            connections[index].incoming.removeFirst(USBIP.basicSize + USBIP.busIDSize)
            let isTaken = connections.contains { $0.device.map { devices[$0].busID == busID } ?? false }
            guard let device = devices.firstIndex(where: { $0.busID == busID }), !isTaken else {
                connections[index].outgoing += USBIP.reply(operation, status: 1)
                return true
            }
            devices[device].attach()
            connections[index].device = device
            connections[index].outgoing +=
                USBIP.reply(operation, status: 0) + devices[device].description(withInterfaces: false)
            return true
        default:
            connections[index].isOver = true
            return false
        }
    }

    /// The second phase: transfers. False when there is no whole request.
    private mutating func obey(_ index: Int) -> Bool {
        guard let device = connections[index].device, connections[index].incoming.count >= USBIP.headerSize else {
            return false
        }
        guard let request = USBIP.Request(connections[index].incoming.prefix(USBIP.headerSize)) else {
            connections[index].isOver = true
            return false
        }
        let size = USBIP.headerSize + request.payload
        guard connections[index].incoming.count >= size else { return false }
        let content = Array(connections[index].incoming[USBIP.headerSize..<size])
        connections[index].incoming.removeFirst(size)
        if request.command == USBIP.Command.unlink {
            let wasWaiting = devices[device].unlink(UInt32(truncatingIfNeeded: request.length))
            connections[index].outgoing += USBIP.unlinked(
                request.sequence, status: wasWaiting ? USBIP.Status.connectionReset : 0)
        } else {
            connections[index].outgoing +=
                devices[device].submit(request, content, at: monotonicNow()).flatMap(\.bytes)
        }
        return true
    }
}
