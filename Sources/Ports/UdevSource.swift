import CUDev
import Glibc

/// libudev on the ports thread: a monitor, and the enumeration that fills what it missed.
///
/// Safe outside: the libudev objects live exactly as long as this owns them, and never leave it.
@safe final class UdevSource: PollSource {
    private static let interval: UInt64 = 2_000_000_000
    /// Bytes. A hub full of devices makes a burst; an overflow costs a new enumeration.
    private static let receiveBuffer: Int32 = 8 << 20

    private let matches: Set<PortMatch>
    private let shared: Watcher.Shared
    private var known: KnownPorts
    private var context: OpaquePointer?
    private var monitor: OpaquePointer?
    private var nextLook: UInt64?
    /// The service's socket is there, so its database is, too.
    private var serviceRuns = false

    init(matches: Set<PortMatch>, shared: Watcher.Shared, announce: @escaping (DeviceEvent) -> Void) {
        self.matches = matches
        self.shared = shared
        known = KnownPorts(announce: announce)
    }

    var descriptor: Int32? { unsafe monitor.map { unsafe udev_monitor_get_fd($0) } }
    var interest: Int16 { Int16(POLLIN) }
    var deadline: UInt64? { nextLook }

    /// The monitor first, then the list: what arrives in between is seen twice, not never.
    func begin() {
        unsafe context = udev_new()
        guard unsafe context != nil else {
            shared.state = .blind("libudev can't be initialised")
            return
        }
        openMonitor()
        look()
    }

    func ready(_ events: Int16, on loop: PortsLoop) {
        guard let monitor = unsafe monitor else { return }
        while true {
            errno = 0
            guard let device = unsafe udev_monitor_receive_device(monitor) else {
                let code = errno
                if code == EINTR { continue }
                if code != 0 && code != EAGAIN { look() }
                break
            }
            // A word from udev, though it seemed not to run: then it does.
            if shared.state != .watching {
                shared.state = .watching
                nextLook = nil
            }
            unsafe received(device)
            _ = unsafe udev_device_unref(device)
        }
        // The socket itself is broken: go on by looking.
        if events & Int16(POLLERR | POLLHUP | POLLNVAL) != 0, events & Int16(POLLIN) == 0 {
            closeMonitor("its socket failed")
            look()
        }
    }

    func expired(on loop: PortsLoop) {
        // A monitor that may be deaf is kept until the service is there.
        if unsafe monitor == nil || access("/run/udev/control", F_OK) == 0 {
            openMonitor()
        } else {
            nextLook = monotonicNow() + Self.interval
        }
        look()
    }

    func release() {
        if let monitor = unsafe monitor.take() { _ = unsafe udev_monitor_unref(monitor) }
        if let context = unsafe context.take() { _ = unsafe udev_unref(context) }
        nextLook = nil
        shared.state = .idle
    }

    private func openMonitor() {
        guard let context = unsafe context else { return }
        serviceRuns = unsafe access("/run/udev/control", F_OK) == 0
        // One that was opened without the service never tells anything, even when the service has come since.
        if let old = unsafe monitor.take() { _ = unsafe udev_monitor_unref(old) }
        guard let fresh = unsafe udev_monitor_new_from_netlink(context, "udev") else {
            return closeMonitor("no socket for udev's events (errno \(errno))")
        }
        // Without privilege the buffer stays at the system's limit: still right, only more often a new enumeration.
        _ = unsafe udev_monitor_set_receive_buffer_size(fresh, Self.receiveBuffer)
        var filtered = true
        for subsystem in Set(matches.map(\.subsystem)) {
            let result = unsafe udev_monitor_filter_add_match_subsystem_devtype(fresh, subsystem, nil)
            filtered = filtered && result >= 0
        }
        guard filtered, unsafe udev_monitor_enable_receiving(fresh) >= 0 else {
            _ = unsafe udev_monitor_unref(fresh)
            return closeMonitor("udev's events can't be received")
        }
        unsafe monitor = fresh
        nextLook = serviceRuns ? nil : monotonicNow() + Self.interval
        shared.state = serviceRuns ? .watching : .polling("udev is not running")
    }

    private func closeMonitor(_ reason: String) {
        if let monitor = unsafe monitor.take() { _ = unsafe udev_monitor_unref(monitor) }
        nextLook = monotonicNow() + Self.interval
        shared.state = .polling(reason)
    }

    private func received(_ device: OpaquePointer) {
        guard let syspath = unsafe text(udev_device_get_syspath(device)) else { return }
        // A removal may come without any property: only the path counts.
        if unsafe text(udev_device_get_action(device)) == "remove" { return known.absent(syspath) }
        unsafe announceIfMatching(device)
    }

    /// Brings what is known in line with what is there.
    private func look() {
        guard let context = unsafe context, let list = unsafe udev_enumerate_new(context) else { return }
        defer { _ = unsafe udev_enumerate_unref(list) }
        for subsystem in Set(matches.map(\.subsystem)) {
            _ = unsafe udev_enumerate_add_match_subsystem(list, subsystem)
        }
        let scan = unsafe udev_enumerate_scan_devices(list)
        guard scan >= 0 else {
            // Nothing can be said: what is known stays.
            closeMonitor("the devices can't be listed (errno \(-scan))")
            return
        }
        var paths: [String] = []
        var entry = unsafe udev_enumerate_get_list_entry(list)
        while let current = unsafe entry {
            if let path = unsafe text(udev_list_entry_get_name(current)) { paths.append(path) }
            unsafe entry = udev_list_entry_get_next(current)
        }
        known.only(Set(paths))
        for path in paths.sorted() {
            guard let device = unsafe udev_device_new_from_syspath(context, path) else { continue }
            defer { _ = unsafe udev_device_unref(device) }
            // One that udev hasn't finished with (its permissions) comes as an event in a moment.
            if serviceRuns, unsafe udev_device_get_is_initialized(device) == 0 { continue }
            unsafe announceIfMatching(device)
        }
    }

    private func announceIfMatching(_ device: OpaquePointer) {
        guard let syspath = unsafe text(udev_device_get_syspath(device)),
            let devnode = unsafe text(udev_device_get_devnode(device)),
            let subsystem = unsafe text(udev_device_get_subsystem(device))
        else { return }
        // Borrowed from the device. A node that isn't on USB has none.
        let parent =
            unsafe subsystem == "usb"
            ? device : udev_device_get_parent_with_subsystem_devtype(device, "usb", "usb_device")
        func property(_ name: String, else attribute: String) -> String? {
            if let value = unsafe text(udev_device_get_property_value(device, name)) { return value }
            // Without udev's database there are still the descriptors.
            guard let parent = unsafe parent else { return nil }
            return unsafe text(udev_device_get_sysattr_value(parent, attribute))
        }
        let vendor = property("ID_VENDOR_ID", else: "idVendor")?.lowercased()
        let product = property("ID_MODEL_ID", else: "idProduct")?.lowercased()
        // An interface of a USB device has no node; a hub has one, and no driver wants it.
        if subsystem == "usb", unsafe text(udev_device_get_devtype(device)) != "usb_device" { return }
        let candidate = PortCandidate(
            syspath: syspath, devnode: devnode, subsystem: subsystem, vendorID: vendor, productID: product,
            usbSerial: property("ID_SERIAL_SHORT", else: "serial"), usbModel: property("ID_MODEL", else: "product"),
            usbPath: unsafe text(udev_device_get_property_value(device, "ID_PATH")),
            interfaces: unsafe text(udev_device_get_property_value(device, "ID_USB_INTERFACES"))?.split(separator: ":")
                .map { $0.lowercased() } ?? [])
        guard matches.contains(where: { $0.fits(candidate) }) else { return }
        // The kernel counts: the same cable in the same socket gets a new number each time.
        let plugging = unsafe parent.flatMap { unsafe text(udev_device_get_sysattr_value($0, "devnum")) }
        known.present(candidate, plugging: plugging ?? "")
    }

    /// Strings belong to libudev: copied at once. What isn't UTF-8 is repaired, it is only shown.
    private func text(_ string: UnsafePointer<CChar>?) -> String? {
        guard let string = unsafe string else { return nil }
        return unsafe String(cString: string)
    }
}
