import Glibc
import Testing
import Wire

@testable import Ports

@Suite struct StreamRingTests {
    private static func ring(_ count: Int) -> StreamRing {
        var ring = StreamRing()
        for _ in 0..<count { ring.submitted() }
        return ring
    }

    @Test func whatCompletesGoesAgain() {
        var ring = Self.ring(4)
        for _ in 0..<100 {
            #expect(ring.returned(.completed, bytes: 8) == .resubmit)
            ring.submitted()
        }
        #expect(ring.inFlight == 4)
    }

    @Test func aHaltIsClearedWhenAllAreBack() {
        var ring = Self.ring(3)
        #expect(ring.returned(.stalled, bytes: 0) == .drain)
        // One had got something before it was cancelled, another one stalls as well.
        #expect(ring.returned(.completed, bytes: 8) == .hold)
        #expect(ring.returned(.stalled, bytes: 0) == .recover)
        ring.recovered()
        #expect(!ring.isHalted && ring.inFlight == 0)
    }

    @Test func aSingleTransferRecoversAtOnce() {
        var ring = Self.ring(1)
        #expect(ring.returned(.stalled, bytes: 0) == .recover)
    }

    @Test func haltsWithoutEndAreAFailure() {
        var ring = StreamRing()
        for _ in 0..<StreamRing.mostHalts {
            ring.submitted()
            #expect(ring.returned(.stalled, bytes: 0) == .recover)
            ring.recovered()
        }
        ring.submitted()
        #expect(ring.returned(.stalled, bytes: 0) == .fail(.system("read", EPIPE)))
    }

    @Test func theEnds() {
        var ring = Self.ring(3)
        #expect(ring.returned(.gone, bytes: 0) == .fail(.gone))
        #expect(ring.returned(.overflowed, bytes: 0) == .fail(.overflow))
        #expect(ring.returned(.cancelled, bytes: 0) == .hold)
        #expect(ring.inFlight == 0)
    }
}

@Suite struct PortMatchTests {
    @Test func aMatchFitsWhatItNames() {
        let device = PortCandidate(
            syspath: "/sys/x", devnode: "/dev/bus/usb/001/002", subsystem: "usb", vendorID: "1209", productID: "0001",
            interfaces: ["030000", "0f0000"])
        #expect(PortMatch(subsystem: "usb", vendorID: "1209", productID: "0001").fits(device))
        #expect(PortMatch(subsystem: "usb", vendorID: nil, productID: nil, interface: "0f0000").fits(device))
        #expect(!PortMatch(subsystem: "usb", vendorID: nil, productID: nil, interface: "080650").fits(device))
        #expect(!PortMatch(subsystem: "tty", vendorID: "1209", productID: "0001").fits(device))
        #expect(!PortMatch(subsystem: "usb", vendorID: nil, productID: nil).fits(device), "everything is nothing")
    }
}
