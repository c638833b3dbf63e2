import CLibUSB
import Glibc
import Synchronization
import Wire

/// libusb's context and the one thread that calls every transfer's callback. Exists while a USB port is open.
///
/// Safe outside: the context lives exactly as long as this does, and libusb's functions on it may be called from any thread.
@safe final class EventThread: @unchecked Sendable {
    private struct Use {
        var thread: EventThread
        var ports: Int
    }

    private static let current = Mutex<Use?>(nil)

    let context: OpaquePointer
    private let isStopping = Atomic<Bool>(false)
    /// Written before the thread is known to anybody, read when it is joined.
    private var thread = pthread_t()

    private init(context: OpaquePointer) { unsafe self.context = context }

    /// Blocks; one `leave` for each.
    static func enter() throws(PortError) -> EventThread {
        let result = current.withLock { use -> Result<EventThread, PortError> in
            if let running = use {
                use?.ports += 1
                return .success(running.thread)
            }
            _ = ess_usb_without_discovery()
            var context: OpaquePointer?
            let code = unsafe libusb_init(&context)
            guard code == 0, let context = unsafe context else { return .failure(usbError(code, "libusb_init")) }
            let fresh = unsafe EventThread(context: context)
            guard fresh.start() else {
                unsafe libusb_exit(context)
                return .failure(.system("pthread_create", EAGAIN))
            }
            use = Use(thread: fresh, ports: 1)
            return .success(fresh)
        }
        return try result.get()
    }

    /// Blocks. The handle must have been closed: the last one stops the thread, then gives the context back.
    static func leave() {
        current.withLock { use in
            use?.ports -= 1
            guard let last = use, last.ports == 0 else { return }
            use = nil
            last.thread.stop()
        }
    }

    private func start() -> Bool {
        // The thread gives its reference back when it ends.
        let reference = unsafe Unmanaged.passRetained(self)
        let result = unsafe pthread_create(
            &thread, nil,
            { context in
                guard let context = unsafe context else { return nil }
                unsafe Unmanaged<EventThread>.fromOpaque(context).takeRetainedValue().main()
                return nil
            }, reference.toOpaque())
        if result != 0 { unsafe reference.release() }
        return result == 0
    }

    private func main() {
        // Signals are the main thread's business.
        var all = sigset_t()
        unsafe sigfillset(&all)
        _ = unsafe pthread_sigmask(SIG_BLOCK, &all, nil)
        while !isStopping.load(ordering: .acquiring) {
            let code = unsafe libusb_handle_events_completed(context, nil)
            // Nothing that is known leads here again and again; without a pause it would burn the battery.
            if code != 0 && code != LIBUSB_ERROR_INTERRUPTED.rawValue { usleep(10_000) }
        }
    }

    private func stop() {
        isStopping.store(true, ordering: .releasing)
        unsafe libusb_interrupt_event_handler(context)
        pthread_join(thread, nil)
        unsafe libusb_exit(context)
    }
}

/// A pulled cable shows as "no device" or as an input/output error, whichever the kernel notices first.
func usbError(_ code: Int32, _ call: String) -> PortError {
    switch libusb_error(rawValue: code) {
    case LIBUSB_ERROR_NO_DEVICE, LIBUSB_ERROR_IO, LIBUSB_ERROR_NOT_FOUND: .gone
    case LIBUSB_ERROR_ACCESS: .denied
    case LIBUSB_ERROR_BUSY: .busy
    case LIBUSB_ERROR_OVERFLOW: .overflow
    case LIBUSB_ERROR_TIMEOUT: .system(call, ETIMEDOUT)
    case LIBUSB_ERROR_PIPE: .system(call, EPIPE)
    case LIBUSB_ERROR_NO_MEM: .system(call, ENOMEM)
    case LIBUSB_ERROR_NOT_SUPPORTED: .system(call, EOPNOTSUPP)
    case LIBUSB_ERROR_INVALID_PARAM: .system(call, EINVAL)
    default: .system(call, EPROTO)
    }
}
