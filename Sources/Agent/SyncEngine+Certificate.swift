import FoundationEssentials
import Logging
import Uplink

// A certificate that ends stops everything: it is renewed while it still holds (sync.md 4.5).

extension SyncEngine {
    /// A refusal is told and changes nothing: there is a third of its life left to try again.
    func renewCertificate(_ link: ServerLink) async {
        guard let certificate = link.configuration.tls.certificate, now >= renewalDue else { return }
        // Looking costs a file; what failed is tried again in an hour.
        renewalDue = now + 3600
        let wall = Double(clock.wall) / 1000
        guard await Blocking.run({ Enrolment.isDue(certificate: certificate, now: wall) }) else { return }
        do throws(Enrolment.Failure) {
            try await Enrolment.renew(
                link, name: configuration.laptop, state: configuration.stateDirectory, now: clock.wall)
        } catch {
            logger.warning("the certificate can't be renewed yet", metadata: ["reason": "\(error)"])
            return
        }
        do throws(UplinkError) {
            let fresh = try configuration.makeLink()
            self.link?.client.close()
            self.link = fresh
            lane = nil
            machine.networkChanged()
            logger.notice("the certificate was renewed")
        } catch {
            logger.error("the new certificate can't be used", metadata: ["error": "\(error.kind)"])
        }
    }
}
