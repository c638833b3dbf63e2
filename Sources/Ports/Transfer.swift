import CLibUSB
import Glibc
import Wire

/// One USB transfer and its buffer. libusb keeps it alive while it is in flight; `finished` is called on the event thread,
/// once for each successful `submit`. A transfer that was submitted refers to its device inside libusb: it must be freed
/// before the device is closed, so that doesn't wait for the last reference.
///
/// Safe outside: buffer and transfer are allocated and freed here; while one is in flight nobody but libusb touches them,
/// and afterwards only whoever got it from `finished`.
/// `cancel` and `free` are called on the line's queue.
@safe final class Transfer: @unchecked Sendable {
    enum Kind { case interrupt, bulk, control }

    enum Outcome: Sendable, Equatable {
        case completed, cancelled, stalled, timedOut, gone
        /// The device sent more than fits.
        case overflowed
    }

    typealias Finished = @Sendable (Transfer, Outcome) -> Void

    private let transfer: UnsafeMutablePointer<libusb_transfer>
    private var isFreed = false
    private let buffer: UnsafeMutablePointer<UInt8>
    private let finished: Finished
    /// A control transfer's data stand behind the set-up packet.
    private let dataOffset: Int

    /// - Parameters:
    ///   - capacity: bytes of the buffer, the set-up packet included.
    ///   - timeout: milliseconds; 0: none.
    ///   - endsWithEmptyPacket: a bulk OUT transfer that fills its last packet tells its end by an empty one.
    init?(
        _ kind: Kind, handle: OpaquePointer, endpoint: UInt8, capacity: Int, timeout: UInt32 = 0,
        endsWithEmptyPacket: Bool = false, finished: @escaping Finished
    ) {
        guard let transfer = unsafe libusb_alloc_transfer(0) else { return nil }
        unsafe self.transfer = unsafe transfer
        unsafe buffer = .allocate(capacity: max(1, capacity))
        unsafe buffer.initialize(repeating: 0, count: max(1, capacity))
        self.finished = finished
        dataOffset = kind == .control ? 8 : 0
        unsafe transfer.pointee.dev_handle = unsafe handle
        unsafe transfer.pointee.endpoint = endpoint
        unsafe transfer.pointee.type =
            switch kind {
            case .interrupt: UInt8(LIBUSB_TRANSFER_TYPE_INTERRUPT.rawValue)
            case .bulk: UInt8(LIBUSB_TRANSFER_TYPE_BULK.rawValue)
            case .control: UInt8(LIBUSB_TRANSFER_TYPE_CONTROL.rawValue)
            }
        unsafe transfer.pointee.timeout = timeout
        unsafe transfer.pointee.flags =
            endsWithEmptyPacket ? UInt8(LIBUSB_TRANSFER_ADD_ZERO_PACKET.rawValue) : 0
        unsafe transfer.pointee.buffer = unsafe buffer
        unsafe transfer.pointee.length = Int32(capacity)
        unsafe transfer.pointee.callback = { transfer in
            guard let transfer = unsafe transfer, let context = unsafe transfer.pointee.user_data else { return }
            // The reference that `submit` gave.
            let object = unsafe Unmanaged<Transfer>.fromOpaque(context).takeRetainedValue()
            object.finished(object, unsafe outcome(transfer.pointee.status))
        }
    }

    deinit { free() }

    /// Not while it is in flight. Idempotent; `cancel` does nothing any more.
    func free() {
        guard !isFreed else { return }
        isFreed = true
        // The handle may be closed by now when it was never submitted; libusb would only use it for its log.
        unsafe transfer.pointee.dev_handle = nil
        unsafe libusb_free_transfer(transfer)
        unsafe buffer.deallocate()
    }

    /// What goes out; at most the capacity.
    func load(_ bytes: [UInt8]) {
        for (index, byte) in bytes.prefix(Int(unsafe transfer.pointee.length)).enumerated() {
            unsafe buffer[index] = byte
        }
    }

    /// What came in.
    var bytes: [UInt8] {
        let count = max(0, Int(unsafe transfer.pointee.actual_length))
        return unsafe Array(UnsafeBufferPointer(start: buffer + dataOffset, count: count))
    }

    /// Nil when it is in flight now.
    func submit() -> PortError? {
        let reference = unsafe Unmanaged.passRetained(self)
        unsafe transfer.pointee.user_data = reference.toOpaque()
        let code = unsafe libusb_submit_transfer(transfer)
        guard code != 0 else { return nil }
        unsafe reference.release()
        return usbError(code, "libusb_submit_transfer")
    }

    /// Its end is still told by `finished`, perhaps as `completed`. Harmless when it is not in flight.
    func cancel() {
        if !isFreed { _ = unsafe libusb_cancel_transfer(transfer) }
    }
}

private func outcome(_ status: libusb_transfer_status) -> Transfer.Outcome {
    switch status {
    case LIBUSB_TRANSFER_COMPLETED: .completed
    case LIBUSB_TRANSFER_CANCELLED: .cancelled
    case LIBUSB_TRANSFER_STALL: .stalled
    case LIBUSB_TRANSFER_TIMED_OUT: .timedOut
    case LIBUSB_TRANSFER_OVERFLOW: .overflowed
    // An input/output error is what the kernel reports between the pull and the disconnection.
    default: .gone
    }
}
