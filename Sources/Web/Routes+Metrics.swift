import Agent
import HTTPTypes
import Hummingbird
import NIOCore

/// `GET /metrics`, at the command line's door only: `curl --unix-socket /run/ess-agent/api.sock http://localhost/metrics`.
func addMetrics(_ verbs: Verbs, to router: Router<LocalContext>) {
    router.get("metrics") { _, _ in
        Response(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: Metrics.text(try await verbs.status()))))
    }
}
