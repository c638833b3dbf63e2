import FHIR
import Testing

@Suite("One member of a JSON object changed, every other byte kept")
struct JSONTextTests {
    func replace(_ text: String) -> String? {
        JSONText.replacing("status", with: "completed", in: Array(text.utf8)).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    @Test(arguments: [
        (#"{"status":"ready"}"#, #"{"status":"completed"}"#),
        (
            #"{ "a" : 1.10, "input":[{"status":"no"}], "status" :"ready" , "note":"\"status\":\"x\""}"#,
            #"{ "a" : 1.10, "input":[{"status":"no"}], "status" :"completed" , "note":"\"status\":\"x\""}"#
        ),
        ("{\"é\":true,\n\"status\":\"a\\\"b\"}\n", "{\"é\":true,\n\"status\":\"completed\"}\n"),
    ])
    func replacesTheTopLevelMemberAlone(before: String, after: String) {
        #expect(replace(before) == after)
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"a":{"status":"x"}}"#, #"{"status":5}"#, #"{"status":"a","status":"b"}"#, #"{"status":"a""#,
        #"{"status":"a"} x"#, #"{"status":"#, #"{"a" "status":"b"}"#, #"{"status":"\"#,
    ])
    func refusesWhatIsNot(text: String) {
        #expect(replace(text) == nil)
    }

    @Test func everyTruncationIsRefused() {
        let text = Array(#"{"x":[1,{"y":"z"}],"status":"ready","b":null}"#.utf8)
        for count in 0..<text.count {
            #expect(JSONText.replacing("status", with: "x", in: Array(text[..<count])) == nil)
        }
    }
}
