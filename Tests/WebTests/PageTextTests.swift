import Clinical
import Formats
import Foundation
import Store
import Testing

/// What the daemon names by a word, the page says in French: a word without a text would break the screen that shows it.
@Suite struct PageTexts {
    private static let texts: Set<String> = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Sources/Web/assets/strings.js")
        let lines = (try? String(contentsOf: file, encoding: .utf8))?.split(separator: "\n") ?? []
        return Set(lines.compactMap { $0.firstMatch(of: /^  "([^"]+)": "/).map { String($0.1) } })
    }()

    private static func words<Word: RawRepresentable & CaseIterable>(_: Word.Type) -> [String]
    where Word.RawValue == String {
        Word.allCases.map(\.rawValue)
    }

    @Test(arguments: [
        ("recording.note", words(Note.Kind.self)), ("recording.history", words(Binding.Reason.self)),
        ("recording.state", words(Recording.State.self)), ("recording.source", words(StartSource.self)),
        ("document.state", words(DocumentStatus.Stage.self) + ["none"]),
        ("decide.kind", words(Contradiction.Kind.self)),
        ("quality", words(QualityHint.Kind.self)), ("device.support", words(SupportLevel.self)),
        ("reading", words(Reading.Kind.self).filter { $0 != "other" }),
    ])
    func everyWordHasAText(_ family: String, _ words: [String]) {
        #expect(!words.isEmpty)
        for word in words { #expect(Self.texts.contains("\(family).\(word)"), "\(family).\(word)") }
    }

    /// Nobody's device sends images by itself.
    @Test(arguments: Recording.Modality.allCases)
    func everyRecordingHasAName(_ modality: Recording.Modality) {
        for kind in Recording.Kind.allCases where kind == .file || modality != .imaging {
            #expect(Self.texts.contains("recording.\(modality.rawValue).\(kind.rawValue)"), "\(modality) \(kind)")
        }
    }
}
