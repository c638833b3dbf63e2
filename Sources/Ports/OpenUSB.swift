import CLibUSB
import Glibc
import Wire

/// A claimed interface of an opened USB device node. Everything here blocks: not on the cooperative pool, not in a callback.
///
/// Safe outside: the handle is valid until `close`, which is called once, after the last transfer.
@safe struct OpenUSB: @unchecked Sendable {
    struct Endpoint: Sendable, Equatable {
        var address: UInt8
        /// wMaxPacketSize, bytes.
        var packet: Int

        func roundedUp(_ count: Int) -> Int { (count + packet - 1) / packet * packet }
    }

    let handle: OpaquePointer
    private let node: Int32
    let interface: UInt8
    /// bAlternateSetting of the one that has the endpoints.
    private let setting: UInt8
    /// bConfigurationValue of the configuration in force.
    private let configuration: UInt8
    let isBulk: Bool
    let input: Endpoint
    /// An interrupt IN endpoint beside a bulk pair.
    let besides: Endpoint?
    /// Nil: reports go by SET_REPORT.
    let output: Endpoint?

    /// - Throws: `.gone`, `.denied`, `.busy` (another program has the interface), `.system("interface", ENXIO)` when the
    ///   device has no such interface or endpoints.
    init(_ path: String, shape: USBShape) throws(PortError) {
        let thread = try EventThread.enter()
        do throws(PortError) {
            try unsafe self.init(path, shape: shape, context: thread.context)
        } catch {
            EventThread.leave()
            throw error
        }
    }

    private init(_ path: String, shape: USBShape, context: OpaquePointer) throws(PortError) {
        let node = unsafe Glibc.open(path, O_RDWR | O_CLOEXEC | O_NOCTTY)
        guard node >= 0 else {
            switch errno {
            case EBUSY: throw .busy
            case EACCES, EPERM: throw .denied
            case ENOENT, ENXIO, ENODEV, EIO: throw .gone
            case let error: throw .system("open", error)
            }
        }
        var wrapped: OpaquePointer?
        let code = unsafe libusb_wrap_sys_device(context, Int(node), &wrapped)
        guard code == 0, let handle = unsafe wrapped else {
            _ = Glibc.close(node)
            throw usbError(code, "libusb_wrap_sys_device")
        }
        do throws(PortError) {
            let found = unsafe try Self.find(shape, on: handle)
            // The kernel's driver (usbhid) makes room, and comes back when the interface is released. Where there is none
            // to be detached this is not supported, and not needed.
            _ = unsafe libusb_set_auto_detach_kernel_driver(handle, 1)
            try unsafe Self.claim(found.interface, setting: found.setting, on: handle)
            unsafe self.handle = unsafe handle
            self.node = node
            interface = found.interface
            setting = found.setting
            configuration = found.configuration
            isBulk = shape.endpoints == .bulk
            input = found.input
            besides = found.besides
            output = found.output
        } catch {
            unsafe libusb_close(handle)
            _ = Glibc.close(node)
            throw error
        }
    }

    /// Configuration 0, then the one that the device had (phdc.md 2.10): for the device the end and the beginning of
    /// everything. No transfer may be in flight.
    ///
    /// - Throws: `.busy` when another function of the device is in use, `.system("renew", …)` when the kernel refuses; the
    ///   interface is claimed again then. Any other error: there is no interface any more.
    func renew() throws(PortError) {
        _ = unsafe libusb_release_interface(handle, Int32(interface))
        // -1 is "not configured" for libusb and the kernel.
        let ended = unsafe libusb_set_configuration(handle, -1)
        let begun = ended == 0 ? unsafe libusb_set_configuration(handle, Int32(configuration)) : 0
        do throws(PortError) {
            try unsafe Self.claim(interface, setting: setting, on: handle)
        } catch {
            // Whoever took it meanwhile has it now.
            throw .gone
        }
        for code in [ended, begun] where code != 0 {
            let error = usbError(code, "renew")
            if error == .gone || error == .busy { throw error }
            throw .system("renew", EPROTO)
        }
    }

    func close() {
        _ = unsafe libusb_release_interface(handle, Int32(interface))
        unsafe libusb_close(handle)
        // libusb doesn't own a node that it was given.
        _ = Glibc.close(node)
        EventThread.leave()
    }

    /// An interface is in its setting 0 when it is claimed: a configuration begins so (USB 2.0, section 9.1.1.5), and the
    /// kernel sees to it at each release.
    private static func claim(_ interface: UInt8, setting: UInt8, on handle: OpaquePointer) throws(PortError) {
        let claimed = unsafe libusb_claim_interface(handle, Int32(interface))
        guard claimed == 0 else { throw usbError(claimed, "libusb_claim_interface") }
        guard setting != 0 else { return }
        let selected = unsafe libusb_set_interface_alt_setting(handle, Int32(interface), Int32(setting))
        guard selected == 0 else {
            // The kernel's driver shall have it again.
            _ = unsafe libusb_release_interface(handle, Int32(interface))
            throw usbError(selected, "libusb_set_interface_alt_setting")
        }
    }

    private struct Found {
        var interface: UInt8
        var setting: UInt8
        var configuration: UInt8
        var input: Endpoint
        var besides: Endpoint?
        var output: Endpoint?
    }

    /// The first interface that fits, by its number, in the first of its settings that has the endpoints.
    private static func find(_ shape: USBShape, on handle: OpaquePointer) throws(PortError) -> Found {
        var read: UnsafeMutablePointer<libusb_config_descriptor>?
        let code = unsafe libusb_get_active_config_descriptor(libusb_get_device(handle), &read)
        guard code == 0, let configuration = unsafe read else {
            throw usbError(code, "libusb_get_active_config_descriptor")
        }
        defer { unsafe libusb_free_config_descriptor(configuration) }
        var fitting: [Found] = []
        // What a descriptor counts and what libusb could read of it are two things: any array may be missing.
        let count = unsafe configuration.pointee.interface == nil ? 0 : Int(configuration.pointee.bNumInterfaces)
        for index in 0..<count {
            let settings = unsafe configuration.pointee.interface[index]
            guard let first = unsafe settings.altsetting else { continue }
            for index in 0..<max(0, Int(unsafe settings.num_altsetting)) {
                let value = unsafe configuration.pointee.bConfigurationValue
                if let found = unsafe fit(shape, first[index], of: value) { fitting.append(found) }
            }
        }
        // Descriptors may stand in any order.
        guard let found = fitting.min(by: { ($0.interface, $0.setting) < ($1.interface, $1.setting) }) else {
            throw .system("interface", ENXIO)
        }
        return found
    }

    /// Nil when it isn't what is wanted.
    private static func fit(
        _ shape: USBShape, _ setting: libusb_interface_descriptor, of configuration: UInt8
    ) -> Found? {
        let isWanted = unsafe shape.interface.fits(
            code: setting.bInterfaceClass, subclass: setting.bInterfaceSubClass, protocol: setting.bInterfaceProtocol)
        guard isWanted, shape.fits(classDescriptors: unsafe classDescriptors(of: setting)) else { return nil }
        let isBulk = shape.endpoints == .bulk
        let endpoints = unsafe endpoints(of: setting, isBulk: isBulk)
        guard let input = endpoints.first(where: { $0.address & 0x80 != 0 }) else { return nil }
        let output = endpoints.first { $0.address & 0x80 == 0 }
        let needsOutput = if case .interrupt(_, let needsOutput) = shape.endpoints { needsOutput } else { true }
        if needsOutput, output == nil { return nil }
        let reports = isBulk ? unsafe self.endpoints(of: setting, isBulk: false) : []
        return Found(
            interface: unsafe setting.bInterfaceNumber, setting: unsafe setting.bAlternateSetting,
            configuration: configuration, input: input, besides: reports.first { $0.address & 0x80 != 0 },
            output: output)
    }

    /// What stands between the interface's descriptor and its first endpoint's.
    private static func classDescriptors(of setting: libusb_interface_descriptor) -> [UInt8] {
        guard let extra = unsafe setting.extra, unsafe setting.extra_length > 0 else { return [] }
        // libusb says how many bytes it kept.
        return unsafe Array(UnsafeBufferPointer(start: extra, count: Int(setting.extra_length)))
    }

    private static func endpoints(of setting: libusb_interface_descriptor, isBulk: Bool) -> [Endpoint] {
        let wanted = isBulk ? LIBUSB_TRANSFER_TYPE_BULK : LIBUSB_TRANSFER_TYPE_INTERRUPT
        // A malformed class descriptor leaves the number and no array.
        guard let found = unsafe setting.endpoint else { return [] }
        return unsafe (0..<Int(setting.bNumEndpoints)).compactMap { index in
            let endpoint = unsafe found[index]
            let packet = Int(unsafe endpoint.wMaxPacketSize & 0x7FF)
            guard UInt32(unsafe endpoint.bmAttributes & 0x03) == wanted.rawValue, packet > 0 else { return nil }
            return Endpoint(address: unsafe endpoint.bEndpointAddress, packet: packet)
        }
    }
}
