import CCurl

extension UplinkError {
    /// What libcurl's failure means for us. Its codes alone don't tell: the same one stands for a dead link, a refused certificate and a
    /// portal, so that its words are looked at, too.
    /// - Parameter text: of libcurl and the TLS library below it.
    init(_ code: CURLcode, _ text: String) {
        let lower = text.lowercased()
        switch code {
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ISSUER_ERROR: self = .tls(text)
        case CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CRL_BADFILE, CURLE_URL_MALFORMAT,
            CURLE_UNSUPPORTED_PROTOCOL where !lower.contains("http/0.9"), CURLE_SSL_CIPHER:
            self = .configuration(text)
        case CURLE_SSL_CONNECT_ERROR, CURLE_RECV_ERROR, CURLE_SEND_ERROR:
            // With TLS 1.3 a server refuses our certificate after the handshake: it comes as a read error (RFC 8446 4.4.2.4).
            let isRefusal = lower.contains("alert") && (lower.contains("certificate") || lower.contains("unknown ca"))
            // Plain HTTP answered where TLS was spoken.
            let isPlain = lower.contains("wrong version number") || lower.contains("packet length too long")
            self = isRefusal ? .certificateRefused(text) : isPlain ? .captivePortal(text) : .link(text)
        case CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING, CURLE_OUT_OF_MEMORY, CURLE_UNSUPPORTED_PROTOCOL:
            self = .malformed(text)
        case CURLE_READ_ERROR, CURLE_WRITE_ERROR, CURLE_ABORTED_BY_CALLBACK, CURLE_FAILED_INIT: self = .local(text)
        default: self = .link(text)
        }
    }
}
