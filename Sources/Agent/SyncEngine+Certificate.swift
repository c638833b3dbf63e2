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
            let configuration = configuration
            try await Enrolment.renew(
                link, name: configuration.laptop, state: configuration.stateDirectory, now: clock.wall
            ) { pair throws(UplinkError) in
                let fresh = try configuration.makeLink(pair)
                defer { fresh.client.close() }
                _ = try await fresh.ping(configuration.region.profile, offer: configuration.region.offer)
            }
        } catch {
            logger.warning("the certificate can't be renewed yet", metadata: ["reason": "\(error)"])
            return
        }
        do throws(UplinkError) {
            let fresh = try configuration.makeLink()
            self.link?.client.close()
            self.link = fresh
            lane = nil
            refusedCertificates = []
            machine.networkChanged()
            logger.notice("the certificate was renewed")
        } catch {
            logger.error("the new certificate can't be used", metadata: ["error": "\(error.kind)"])
        }
    }

    /// The server refuses ours: an older one that still holds may do, and then brings a new one. When all were refused it begins again with
    /// the one that counts: the server may have been wrong.
    func tryOtherCertificate() async {
        guard let current = link?.configuration.tls.certificate else { return }
        refusedCertificates.insert(current)
        let (refused, now) = (refusedCertificates, Double(clock.wall) / 1000)
        let (first, next) = await Blocking.run { [configuration] in
            let all = configuration.identities
            return (
                all.first,
                all.first {
                    !refused.contains($0.certificate) && Enrolment.isValid(certificate: $0.certificate, now: now)
                }
            )
        }
        if next == nil { refusedCertificates = [] }
        guard let pair = next ?? first, pair.certificate != current else { return }
        do throws(UplinkError) {
            let other = try configuration.makeLink(pair)
            link?.client.close()
            link = other
            lane = nil
            renewalDue = -.infinity
            logger.warning("the server refuses our certificate: another one is tried")
        } catch {
            logger.error("the other certificate can't be used", metadata: ["error": "\(error.kind)"])
        }
    }
}
