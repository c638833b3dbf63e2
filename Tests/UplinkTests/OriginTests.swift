import Testing
@_spi(Testing) import Uplink

struct OriginTests {
    @Test(arguments: [
        ("https://ess.example", "https://ess.example"), ("https://ESS.example:443/", "https://ess.example"),
        ("https://ess.example:8443/region/", "https://ess.example:8443/region"),
        ("https://[::1]:99", "https://[::1]:99"),
    ])
    func accepts(text: String, expected: String) {
        #expect(Origin(text)?.description == expected)
    }

    @Test(arguments: [
        "", "ess.example", "http://ess.example", "https://", "https://user@ess.example", "https://ess.example:0",
        "https://ess.example:99999", "https://ess.example/?a=b", "https://ess.example/#a", "https://ess.example/a/../b",
        "https://ess .example", "file:///etc", "https:///a", "https://ess.example\n", "https://%65ss.example",
    ])
    func refuses(text: String) {
        #expect(Origin(text) == nil)
        #expect(throws: UplinkError.self) { try UplinkConfiguration(baseURL: text, version: "1.0.0") }
    }

    @Test(arguments: [
        ("/files/1", "https://ess.example:8443/files/1"), ("1", "https://ess.example:8443/region/files/1"),
        ("https://ess.example:8443/x?y=z", "https://ess.example:8443/x?y=z"),
        ("?page=2", "https://ess.example:8443/region/files/?page=2"),
        ("HTTPS://ESS.example:8443/x", "https://ess.example:8443/x"),
        ("//ess.example:8443/x", "https://ess.example:8443/x"),
        ("/a#b", "https://ess.example:8443/a"),
    ])
    func resolves(reference: String, expected: String) throws {
        let origin = try #require(Origin("https://ess.example:8443/region"))
        #expect(origin.resolve(reference, against: "https://ess.example:8443/region/files/?x=/y") == expected)
    }

    @Test func aServerBehindAProxyThatEndsTLS() throws {
        let origin = try #require(Origin("https://ess.example/region"))
        let base = "https://ess.example/region/files/"
        #expect(origin.resolveOwn("http://ess.example/files/1", against: base) == "https://ess.example/files/1")
        #expect(origin.resolveOwn("HTTP://ESS.example/files/1", against: base) == "https://ess.example/files/1")
        #expect(origin.resolveOwn("/files/1", against: base) == "https://ess.example/files/1")
        for elsewhere in ["http://evil.example/x", "http://ess.example:8080/x", "http://ess.example@evil.example/x"] {
            #expect(origin.resolveOwn(elsewhere, against: base) == nil)
        }
    }

    @Test(arguments: [
        "", "https://ess.example/x", "https://evil.example:8443/x", "http://ess.example:8443/x", "//evil.example/x",
        "https://ess.example:8443@evil.example/", "https://user@ess.example:8443/", "/a/../b", "../b",
        "ftp://ess.example:8443/",
        "/a b", "\\\\evil.example\\x", "/\r\nX: y", "https://ess.example:8443.evil.example/",
    ])
    func staysAtHome(reference: String) throws {
        let origin = try #require(Origin("https://ess.example:8443/region"))
        #expect(origin.resolve(reference, against: "https://ess.example:8443/region/files/") == nil)
    }
}
