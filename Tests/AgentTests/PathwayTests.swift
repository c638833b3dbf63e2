import Clinical
import Foundation
import Testing

@testable import Agent

/// A region's directory with these files.
private func region(_ files: [String: String]) throws -> String {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("ess-pathways-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for (name, text) in files { try text.write(toFile: "\(path)/\(name)", atomically: true, encoding: .utf8) }
    return path
}

@Suite("Pathways as data")
struct PathwayTests {
    @Test func theSixAreThere() throws {
        let catalogue = try PathwayCatalogue.load(directory: nil)
        #expect(catalogue.pathways.map(\.code).prefix(6) == ["ic", "fa", "ci", "hta", "valv", "sas"])
        let failure = try #require(catalogue.pathway("heart-failure"))
        #expect(failure.code == "ic" && failure.required.map { $0.blocks[0] }.starts(with: ["ecg12", "echo", "bp"]))
        #expect(catalogue.pathway("sas")?.required.first?.blocks == ["oximetry-night", "polygraphy-night", "cpap"])
        #expect(catalogue.pathway("unheard-of") == nil && catalogue.pathway(nil) == nil)
        #expect(catalogue.blocks["epworth"]?.form?.fields.count == 8)
        // The limits of pathways.md.
        let systolic = try #require(catalogue.blocks["bp"]?.form?.fields.first)
        #expect(systolic.minimum == 60 && systolic.maximum == 260 && systolic.unit == "mm[Hg]")
    }

    @Test func aRegionChangesAndAdds() throws {
        let directory = try region([
            "10-blocks.json": """
            {"blocks": [{"key": "walk6", "title": "Marche de 6 minutes", "form": {"target": "questionnaire", "fields":
                [{"key": "distance", "label": "Distance", "type": "number", "unit": "m"}]}}]}
            """,
            "20-plans.json": """
            {"pathways": [{"code": "ic", "title": "IC, région", "required": ["bp", "walk6"]},
                {"code": "heart-failure", "title": "Autre", "required": ["weight"]}]}
            """,
            "note.txt": "not JSON, and not read", "schema.json": "not read either",
        ])
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let catalogue = try PathwayCatalogue.load(directory: directory)
        #expect(catalogue.pathway("ic")?.required.map(\.blocks) == [["bp"], ["walk6"]])
        // A region's code that was a built-in alias.
        #expect(catalogue.pathway("heart-failure")?.title == "Autre")
        #expect(catalogue.pathway("fa") != nil)
    }

    @Test(
        "an error says the file, the place and the remedy",
        arguments: [
            ("{", "a.json: the whole file", "JSON"),
            (#"{"pathway": []}"#, "unknown member `pathway`", "pathways"),
            (#"{"pathways": [{"code": "x", "title": "X", "required": ["ecg13"]}]}"#, "`ecg13`", "known: "),
            (#"{"pathways": [{"code": "x", "title": "X"}]}"#, "pathways[0]", "`required` is missing"),
            (#"{"pathways": [{"code": "x y", "title": "X", "required": []}]}"#, "pathways[0].code", "letters"),
            (#"{"pathways": [{"code": "x", "title": "X", "required": ["bp", "bp"]}]}"#, "`x`", "twice"),
            (
                #"{"pathways": [{"code": "x", "title": "X", "aliases": ["ic"], "required": []}]}"#, "`ic`",
                "two pathways"
            ),
            (
                #"{"blocks": [{"key": "b", "title": "B", "evidence": [{"modality": "xray"}]}]}"#,
                "evidence[0].modality", "xray"
            ),
            (#"{"blocks": [{"key": "b", "title": "B", "evidence": [{}]}]}"#, "evidence[0]", "modality or readings"),
            (
                #"{"blocks": [{"key": "b", "title": "B", "form": {"target": "observation", "fields": [{"key": "n", "label": "N", "type": "number", "unit": "kg"}]}}]}"#,
                "blocks[0].form", "code"
            ),
            (
                #"{"blocks": [{"key": "b", "title": "B", "form": {"target": "questionnaire", "fields": [{"key": "n", "label": "N", "type": "number"}]}}]}"#,
                "fields[0]", "unit"
            ),
            (
                #"{"blocks": [{"key": "b", "title": "B", "form": {"target": "questionnaire", "below": [["a", "b"]], "fields": [{"key": "n", "label": "N", "type": "text"}]}}]}"#,
                "form", "below"
            ),
        ])
    func errors(text: String, place: String, says: String) throws {
        let directory = try region(["a.json": text])
        defer { try? FileManager.default.removeItem(atPath: directory) }
        do throws(ConfigurationError) {
            _ = try PathwayCatalogue.load(directory: directory)
            Issue.record("accepted: \(text)")
        } catch {
            #expect(error.description.contains(place), "\(error)")
            #expect(error.description.contains(says), "\(error)")
        }
    }

    @Test func aDirectoryThatIsNotThereIsSaid() {
        #expect(throws: ConfigurationError.self) { try PathwayCatalogue.load(directory: "/nowhere/at/all") }
    }
}

@Suite("What is typed by hand")
struct FormReadingTests {
    let form: Form
    let weight: Form

    init() throws {
        let catalogue = try PathwayCatalogue.load(directory: nil)
        form = try #require(catalogue.blocks["bp"]?.form)
        weight = try #require(catalogue.blocks["weight"]?.form)
    }

    @Test func numbersAsTheFrenchWriteThem() throws {
        #expect(try FormReading(form: weight).values(["weight": " 072,5 "]) == ["weight": .number("72.5")])
        #expect(try FormReading(form: weight).values(["weight": "72.5"]) == ["weight": .number("72.5")])
        #expect(
            try FormReading(form: form).values(["systolic": "142", "diastolic": "80", "pulse": ""])
                == ["systolic": .number("142"), "diastolic": .number("80")])
    }

    @Test(arguments: [
        "", "soixante-douze", "72,55", "7 2", "-72", "+72", "72,", ",5", "1e3", "٧٢", "1234567", "72,5,1",
    ])
    func whatIsNoNumberIsRefused(text: String) {
        #expect(throws: Problem.self) { try FormReading(form: weight).values(["weight": text]) }
    }

    @Test func whatIsUnlikelyIsOnlySaid() throws {
        func warnings(_ systolic: String, _ diastolic: String, _ pulse: String = "") throws -> Int {
            let reading = FormReading(form: form)
            return reading.warnings(
                try reading.values(["systolic": systolic, "diastolic": diastolic, "pulse": pulse])
            ).count
        }
        #expect(try warnings("142", "80", "71") == 0)
        #expect(try warnings("60", "30") == 0 && warnings("260", "160") == 0)
        #expect(try warnings("261", "80") == 1)
        #expect(try warnings("80", "142") == 1)
        #expect(try warnings("20", "20") == 3)
    }

    @Test func anEpworthScoreIsTheSum() throws {
        let form = try #require(try PathwayCatalogue.load(directory: nil).blocks["epworth"]?.form)
        var typed = Dictionary(uniqueKeysWithValues: form.fields.map { ($0.key, "3") })
        func entry() throws -> Entry {
            Entry(
                id: UUID(), visit: "v", block: "epworth", title: "", form: form,
                values: try FormReading(form: form).values(typed), by: "n", at: 0)
        }
        #expect(try entry().total == 24)
        #expect(try entry().sentence.hasSuffix(": 24"))
        typed["q1"] = "4"
        #expect(throws: Problem.self) { try entry() }
        typed["q1"] = nil
        #expect(throws: Problem.self) { try entry() }
    }
}
