import Clinical
import Formats
import Foundation
import Testing
import Wire

@testable import Devices

@Suite("ResMed card")
struct ResmedCardTests {
    static let evening = LocalTime(year: 2026, month: 11, day: 22, hour: 22, minute: 31, second: 5)!
    static let morning = LocalTime(year: 2026, month: 11, day: 23, hour: 4, minute: 2, second: 50)!

    /// An evening with three apnoeas and a morning of the same therapy day with one.
    static func card(
        _ model: ResmedSimulatedCard.Model = .airSense11, fault: ResmedSimulatedCard.Fault = .none,
        oximeter: Bool = false
    ) -> ResmedSimulatedCard {
        ResmedSimulatedCard(
            model: model,
            sessions: [
                .init(start: evening, minutes: 6, apnoeas: 3, oximeter: oximeter),
                .init(start: morning, minutes: 3, apnoeas: 1, oximeter: oximeter),
            ], fault: fault)
    }

    static func recordings(_ tree: any Tree) throws -> [ImportedRecording] {
        let importer = ResmedCard()
        return try importer.find(in: tree).map { try importer.read($0, from: tree) }
    }

    static func first(_ card: ResmedSimulatedCard) throws -> ImportedRecording {
        try #require(try recordings(MemoryTree(card.files())).first)
    }

    static func texts(_ recording: ImportedRecording, _ kind: Note.Kind) -> [String] {
        recording.notes.filter { $0.kind == kind }.map(\.text)
    }

    static func samples(_ recording: ImportedRecording, _ name: String) throws -> (Channel, [Sample]) {
        let index = try #require(recording.waveform.channels.firstIndex { $0.name == name })
        return (recording.waveform.channels[index], recording.waveform.samples[index])
    }

    @Test(arguments: ResmedSimulatedCard.Model.allCases)
    func readsACard(_ model: ResmedSimulatedCard.Model) throws {
        let tree = MemoryTree(Self.card(model).files())
        let recordings = try Self.recordings(tree)
        #expect(recordings.map(\.start) == [Self.evening, Self.morning])
        let recording = recordings[0]
        #expect(recording.modality == .sleep && recording.claim == nil && recording.rawStart == "22.11.26 22.31.05")
        #expect(recording.device.vendor == "ResMed" && recording.device.serial == "SIM00000001")
        #expect(recording.device.isSimulated)
        let product = [
            ResmedSimulatedCard.Model.s9: "S9 AutoSet", .airSense10: "AirSense 10 AutoSet",
            .airSense11: "AirSense 11 AutoSet",
        ]
        #expect(recording.device.model == product[model])
        #expect(
            recording.waveform.channels.map(\.name) == [
                "Flow", "Pressure", "Mask pressure", "Set pressure", "EPR pressure", "Leak", "Respiratory rate",
                "Tidal volume", "Minute vent.", "Snore", "Flow limitation", "Pulse rate", "SpO2",
            ])
        #expect(recording.waveform.channels.allSatisfy { $0.calibration == .verified && $0.name.utf8.count <= 16 })
        let units = [
            "L/s", "cm[H2O]", "cm[H2O]", "cm[H2O]", "cm[H2O]", "L/s", "/min", "L", "L/min", "1", "1", "/min", "%",
        ]
        #expect(recording.waveform.channels.map(\.unit) == units)
        #expect(recording.waveform.channels.map(\.rate.value) == [25, 25] + Array(repeating: 0.5, count: 9) + [1, 1])
        #expect(
            recording.waveform.samples.map(\.count) == [9000, 9000] + Array(repeating: 180, count: 9) + [360, 360])
        let (flow, values) = try Self.samples(recording, "Flow")
        #expect(flow.scale.value == 0.002 && flow.signal == .airflow && flow.range == -1000...1500)
        #expect(values.max() == 250 && values.min() == -165 && !values.contains(.absent))
        let (leak, leaks) = try Self.samples(recording, "Leak")
        #expect(leak.physical(leaks[0]) == 0.04)
    }

    @Test func eventsStartBeforeWhatTheMachineCallsTheirOnset() throws {
        let recording = try Self.first(Self.card())
        let events = recording.notes.filter { $0.kind == .event }
        #expect(events.map(\.text) == ["Obstructive Apnea", "Central Apnea", "Hypopnea"])
        // Ends at 66, 186 and 306 s after mask on; the hypopnoea has no duration.
        #expect(events.map(\.at) == [54, 174, 306] && events.map(\.duration) == [12, 12, nil])
        let (_, flow) = try Self.samples(recording, "Flow")
        #expect(flow[54 * 25..<66 * 25].allSatisfy { $0 == 0 })
        #expect(flow[66 * 25..<78 * 25].contains { $0 > 200 } && flow[42 * 25..<54 * 25].contains { $0 > 200 })
    }

    @Test func withoutAnOximeterThereIsNoValue() throws {
        for model in ResmedSimulatedCard.Model.allCases {
            let without = try Self.first(Self.card(model))
            for name in ["SpO2", "Pulse rate"] {
                #expect(try Self.samples(without, name).1.allSatisfy { $0 == .absent })
            }
            #expect(Self.texts(without, .sensor) == ["no oximeter was connected"])
            let with = try Self.first(Self.card(model, oximeter: true))
            let (channel, samples) = try Self.samples(with, "SpO2")
            #expect(channel.signal == .spo2 && Set(samples) == [89, 95])
            #expect(try Set(Self.samples(with, "Pulse rate").1) == [64, 72])
        }
    }

    @Test func theDaysIndexIsHeldAgainstTheStatistics() throws {
        for recording in try Self.recordings(MemoryTree(Self.card().files())) {
            let told = Self.texts(recording, .device)
            #expect(told.contains("the therapy day: 0.2 h of use, leak 95 % 0.08 L/s, AHI 26.7 (the machine's count)"))
            #expect(told.contains { $0.hasPrefix("4 apnoeas and hypopnoeas in 0.2 h are 26.7 an hour") })
            #expect(Self.texts(recording, .surprise).isEmpty)
        }
        let odd = try Self.first(Self.card(fault: .otherIndex))
        #expect(
            Self.texts(odd, .surprise) == [
                "4 apnoeas and hypopnoeas in 0.2 h are 26.7 an hour on the therapy day; the statistics say 293.3"
            ])
    }

    @Test func noonDividesTherapyDays() throws {
        let before = LocalTime(year: 2026, month: 11, day: 22, hour: 11, minute: 59, second: 59)!
        let after = LocalTime(year: 2026, month: 11, day: 22, hour: 12, minute: 0, second: 0)!
        let later = LocalTime(year: 2026, month: 11, day: 22, hour: 12, minute: 3, second: 0)!
        #expect(ResmedLayout.day(of: before) + 1 == ResmedLayout.day(of: after))
        #expect(ResmedLayout.day(of: after) == ResmedLayout.day(of: Self.morning))
        let card = ResmedSimulatedCard(
            model: .airSense10,
            sessions: [.init(start: before, minutes: 2, apnoeas: 1), .init(start: later, minutes: 2)])
        let recordings = try Self.recordings(MemoryTree(card.files()))
        let told = recordings.map { Self.texts($0, .device) + Self.texts($0, .surprise) }
        #expect(
            told[0].contains(
                "1 apnoeas and hypopnoeas in 0.0 h are 30.0 an hour on the therapy day, as in the statistics"))
        #expect(
            told[1].contains(
                "0 apnoeas and hypopnoeas in 0.0 h are 0.0 an hour on the therapy day, as in the statistics"))
    }

    @Test func anOriginalHoldsTheFilesAndIsReadAgain() throws {
        let tree = MemoryTree(Self.card(.airSense10).files())
        let item = try #require(try ResmedCard().find(in: tree).first)
        let recording = try ResmedCard().read(item, from: tree)
        let archive = try Ustar(decoding: recording.original)
        #expect(archive.entries.map(\.name) == item.parts.map { $0.joined(separator: "/") })
        #expect(archive.entries.map(\.bytes) == item.parts.compactMap { tree.files[$0] })
        #expect(archive.entries.count == 10 && item.size == archive.entries.reduce(0) { $0 + $1.bytes.count })
        let again = try ResmedCard().decode(recording.original)
        #expect(again.waveform == recording.waveform && again.start == recording.start)
        #expect(again.device.serial == recording.device.serial && again.device.model == "CPAP MID 36 VID 39")
        #expect(again.notes == recording.notes.filter { $0.kind != .device })
        // Wherever a copy of the card lies, the session is the same one.
        var copied = MemoryTree()
        for (path, bytes) in tree.files { copied.files[["copies", "of cards"] + path] = bytes }
        #expect(try Self.recordings(copied).map(\.original) == Self.recordings(tree).map(\.original))
    }

    @Test func aSessionThatGrewIsAnotherOriginal() throws {
        var card = Self.card()
        let before = try Self.recordings(MemoryTree(card.files()))
        card.sessions[1].minutes += 1
        let after = try Self.recordings(MemoryTree(card.files()))
        #expect(before[0].original == after[0].original && before[1].original != after[1].original)
    }

    @Test func becomesAnEDF() throws {
        let recording = try Self.first(Self.card(oximeter: true))
        let header = EDFHeader(
            patientCode: nil, sex: .unknown, birthDate: nil, name: nil, start: recording.start, administrationCode: nil,
            equipment: "ResMed", simulated: true)
        let bytes = try EDFWriter.write(recording.waveform, header: header, notes: recording.notes)
        let file = try EDFFile(decoding: bytes)
        #expect(file.waveform.channels.map(\.name) == recording.waveform.channels.map(\.name))
        let events = recording.notes.filter { $0.kind == .event }
        let written = file.annotations.filter { $0.text.hasPrefix("event: ") }
        #expect(written.map(\.text) == events.map { "event: \($0.text)" } && events.count == 3)
        #expect(written.map(\.at) == events.map(\.at) && written.map(\.duration) == events.map(\.duration))
        #expect(file.waveform.summaries.map(\.sum) == recording.waveform.summaries.map(\.sum))
    }

    // MARK: - Faults (devices.md 4.9)

    @Test func aWrongRecordChecksumCostsThatMinute() throws {
        let recording = try Self.first(Self.card(fault: .flippedData))
        for name in ["Flow", "Pressure"] {
            let samples = try Self.samples(recording, name).1
            #expect(samples.indices.allSatisfy { (samples[$0] == .absent) == (1500..<3000).contains($0) })
        }
        #expect(try !Self.samples(recording, "Leak").1.contains(.absent))
        #expect(
            recording.notes.contains(
                Note(kind: .surprise, at: 60, duration: 60, text: "BRP: checksum wrong, no values taken from here")))
    }

    @Test func aWrongHeaderChecksumCostsTheFile() throws {
        for model in [ResmedSimulatedCard.Model.airSense10, .airSense11] {
            let tree = MemoryTree(Self.card(model, fault: .flippedHeader).files())
            let recordings = try Self.recordings(tree)
            #expect(recordings.count == 2 && recordings[0].start == Self.evening)
            #expect(recordings[0].waveform.channels.first?.name == "Mask pressure")
            #expect(
                Self.texts(recordings[0], .surprise).contains(
                    "BRP was left out: the header's checksum is wrong; copy the file again"))
        }
        // An S9's header has none: nothing can be found wrong.
        #expect(try Self.first(Self.card(.s9, fault: .flippedHeader)).waveform.channels.first?.name == "Flow")
    }

    @Test func nothingIsLeftWhenEveryHeaderIsWrong() throws {
        var tree = MemoryTree(Self.card().files())
        let item = try #require(try ResmedCard().find(in: tree).first)
        for path in item.parts { tree.files[path]?[300] ^= 1 }
        let error = #expect(throws: ImportError.self) { try ResmedCard().read(item, from: tree) }
        guard case .damaged(let text)? = error else { return #expect(Bool(false), "not called damaged") }
        #expect(text.contains("BRP was left out: the checksum of the signal headers is wrong"))
    }

    @Test func emptyFilesAreNoSession() throws {
        var tree = MemoryTree(Self.card(fault: .noRecords).files())
        #expect(try Self.recordings(tree).map(\.start) == [Self.morning])
        tree.files[["DATALOG", "20261122", "20261122_235959_BRP.edf"]] = []
        #expect(try Self.recordings(tree).map(\.start) == [Self.morning])
    }

    @Test func aCutRecordIsNotRead() throws {
        let recording = try Self.first(Self.card(fault: .cutRecord))
        #expect(try Self.samples(recording, "Flow").1.count == 5 * 1500)
        #expect(try Self.samples(recording, "Leak").1.count == 180)
        #expect(Self.texts(recording, .surprise).contains { $0.hasPrefix("BRP: the last record is cut") })
        #expect(Self.texts(recording, .surprise).contains("BRP: 6 records announced, 5 in the file"))
    }

    @Test func recordsBehindTheCountAreRead() throws {
        var tree = MemoryTree(Self.card().files())
        let path = try #require(
            tree.files.keys.map(\.self).filter { $0.last?.hasSuffix("_BRP.edf") == true }.min {
                $0.joined() < $1.joined()
            })
        var bytes = try #require(tree.files[path])
        bytes.replaceSubrange(236..<244, with: "4       ".utf8)
        // The header's own checksum, as the fifth word of the patient field.
        let sum = String(CRC16.ccittFalse(bytes[25..<256]), radix: 16, uppercase: true)
        bytes.replaceSubrange(16..<20, with: (String(repeating: "0", count: 4 - sum.utf8.count) + sum).utf8)
        tree.files[path] = bytes
        let recording = try Self.recordings(tree)[0]
        #expect(try Self.samples(recording, "Flow").1.count == 9000)
        #expect(Self.texts(recording, .surprise).contains("BRP: 4 records announced, 6 in the file"))
        // What the disk has there and nobody wrote is none.
        bytes[bytes.count - 1] ^= 1
        tree.files[path] = bytes
        let shorter = try Self.recordings(tree)[0]
        #expect(try Self.samples(shorter, "Flow").1.count == 7500)
    }

    @Test func theCaseOfNamesMakesNoOtherSession() throws {
        let tree = MemoryTree(Self.card().files())
        var copy = MemoryTree([])
        for (path, bytes) in tree.files {
            copy.files[path.map { $0.hasSuffix(".edf") && $0 != "STR.edf" ? $0.uppercased() : $0 }] = bytes
        }
        let identities = try [tree, copy].map { tree in
            try ResmedCard().find(in: tree).map { item in
                ResmedCard().identity(of: try #require(try ResmedCard().original(of: item, from: tree)))
            }
        }
        #expect(identities[0].count == 2 && identities[0] == identities[1])
    }

    @Test func oneNewLabelMakesNoOtherFile() throws {
        let card = Self.card()
        let statistics = try #require(card.files().first { $0.0.last?.hasSuffix("_PLD.edf") == true }).1
        var bytes = statistics
        // Without checksums in the header nothing has to be made right.
        bytes.replaceSubrange(8..<88, with: "X X X X".utf8 + Array(repeating: 0x20, count: 73))
        bytes.replaceSubrange(256 + 16 * 3..<256 + 16 * 4, with: "Something.2s    ".utf8)
        let file = try ResmedCard().decode(bytes)
        #expect(file.waveform.channels.contains { $0.name == "Mask pressure" })
    }

    @Test func aFileThatWasNeverClosedIsRead() throws {
        let recording = try Self.first(Self.card(fault: .recordsUnknown))
        #expect(try Self.samples(recording, "Flow").1.count == 9000)
        #expect(
            Self.texts(recording, .surprise).contains { $0.hasPrefix("BRP: the number of records was never filled in") }
        )
    }

    @Test func withoutStatisticsFileTheRestCounts() throws {
        let recording = try Self.first(Self.card(fault: .noStatisticsFile))
        #expect(recording.waveform.channels.map(\.name) == ["Flow", "Pressure", "Pulse rate", "SpO2"])
        #expect(Self.texts(recording, .surprise) == ["PLD: there is no such file for this session"])
    }

    @Test(arguments: ResmedSimulatedCard.Model.allCases)
    func frenchLabelsMeanTheSame(_ model: ResmedSimulatedCard.Model) throws {
        let french = try Self.first(Self.card(model, fault: .frenchLabels))
        let english = try Self.first(Self.card(model))
        #expect(french.waveform == english.waveform && french.original != english.original)
    }

    @Test func anEventWithAWrongChecksumIsLeftOut() throws {
        let recording = try Self.first(Self.card(fault: .flippedEvent))
        #expect(Self.texts(recording, .event) == ["Obstructive Apnea", "Central Apnea"])
        #expect(
            Self.texts(recording, .surprise).contains("EVE: checksum wrong in 1 records; their events are left out"))
        #expect(Self.texts(recording, .device).count == 1, "no index from events that are known to be incomplete")
    }

    @Test func aDamagedIdentificationIsSaid() throws {
        let new = try Self.first(Self.card(.airSense11, fault: .flippedIdentification))
        #expect(new.device.model == "CPAP MID 36 VID 39" && new.device.isSimulated)
        #expect(Self.texts(new, .surprise).contains { $0.hasPrefix("the checksum of Identification.json is wrong") })
        let old = try Self.first(Self.card(.airSense10, fault: .flippedIdentification))
        #expect(Self.texts(old, .surprise).contains("the checksum of Identification.tgt doesn't match"))
    }

    @Test func anotherMachinesCardDoesNotRenameTheSession() throws {
        var tree = MemoryTree(Self.card(.airSense10).files())
        tree.files[["Identification.tgt"]] = Array("#SRN 22161234567\r\n#PNA AirCurve_10_VAuto\r\n".utf8)
        tree.files[["Identification.crc"]] = nil
        let recording = try #require(try Self.recordings(tree).first)
        #expect(recording.device.serial == "SIM00000001" && recording.device.model == "CPAP MID 36 VID 39")
        #expect(Self.texts(recording, .surprise).contains { $0.contains("another machine") })
    }

    @Test func theJSONIsPreferred() throws {
        var tree = MemoryTree(Self.card(.airSense11).files())
        tree.files[["Identification.tgt"]] = Array("#SRN SIM00000001\r\n#PNA S9_Old\r\n".utf8)
        #expect(try Self.recordings(tree).first?.device.model == "AirSense 11 AutoSet")
    }

    @Test func theNightOfTheClockChangeKeepsItsWallClock() throws {
        // Summer time ends at 03:00 on 25 October 2026.
        let start = LocalTime(year: 2026, month: 10, day: 25, hour: 1, minute: 58, second: 0)!
        let card = ResmedSimulatedCard(model: .airSense11, sessions: [.init(start: start, minutes: 70, apnoeas: 2)])
        let recording = try Self.first(card)
        #expect(recording.start == start && recording.waveform.seconds == 4200)
        #expect(recording.notes.filter { $0.kind == .event }.map(\.at) == [1044, 3144])
    }

    @Test func eventsOutsideTheSessionAreCounted() throws {
        var tree = MemoryTree(Self.card().files())
        let stem = ["DATALOG", "20261122", "20261122_223057_EVE.edf"]
        let shortened = ResmedSimulatedCard(
            model: .airSense11, sessions: [.init(start: Self.evening, minutes: 60, apnoeas: 12)])
        tree.files[stem] = MemoryTree(shortened.files()).files[stem]
        try #require(tree.files[stem] != nil)
        let recording = try #require(try Self.recordings(tree).first)
        #expect(recording.notes.count { $0.kind == .event } == 1)
        #expect(
            Self.texts(recording, .surprise).contains(
                "EVE: 11 events outside of all of the day's sessions were left out"))
    }

    /// The fixture's two sessions with one file of events for the day, as an AirSense 10 writes it: the morning's apnoea in the evening's.
    static func oneFileOfEvents() throws -> MemoryTree {
        var tree = MemoryTree(card().files())
        let evening = ["DATALOG", "20261122", "20261122_223057_EVE.edf"]
        let morning = ["DATALOG", "20261122", "20261123_040242_EVE.edf"]
        let apart = Int(Self.morning.civilSeconds - Self.evening.civilSeconds)
        let writer = card().writer(
            "EDF+D", duration: "0.00", start: try #require(LocalTime(civilSeconds: Self.evening.civilSeconds - 8)),
            signals: [
                .init(
                    label: "EDF Annotations", physical: ("-32768", "32767"), digital: (-32768, 32767), perRecord: 31)
            ])
        let found = [
            (74, 12, "Obstructive Apnea"), (8 + apart + 96, 12, "Central Apnea"), (8 + apart + 200, 12, "Apnea"),
        ]
        tree.files[evening] = writer.bytes(
            ([(0, 0, "Recording starts")] + found).map {
                ResmedWriter.annotation(onset: $0.0, duration: $0.1, text: $0.2, size: 62)
            })
        try #require(tree.files.removeValue(forKey: morning) != nil)
        return tree
    }

    @Test func aDaysEventsGoToTheSessionsInWhichTheyLie() throws {
        let recordings = try Self.recordings(try Self.oneFileOfEvents())
        // The last one is in the minute that the machine drops at the end of a session.
        #expect(recordings.map { Self.texts($0, .event) } == [["Obstructive Apnea"], ["Central Apnea", "Apnea"]])
        #expect(recordings[1].notes.filter { $0.kind == .event }.map(\.at) == [84, 188])
        #expect(recordings.allSatisfy { !Self.texts($0, .surprise).contains { $0.contains("EVE") } })
    }

    @Test func aSessionIsKnownByItsSamplesAndItsEvents() throws {
        let importer = ResmedCard()
        let own = try Self.recordings(MemoryTree(Self.card().files()))
        let shared = try Self.recordings(try Self.oneFileOfEvents())
        // Another event of its own makes it another one, other sessions' in its file don't.
        #expect(importer.identity(of: shared[0].original) != importer.identity(of: own[0].original))
        var later = try Self.oneFileOfEvents()
        let path = ["DATALOG", "20261122", "20261122_223057_EVE.edf"]
        let cut = try #require(later.files[path]).dropLast(2 * 64)
        var header = Array(cut)
        header.replaceSubrange(236..<244, with: Array("2       ".utf8))
        let checksum = String(CRC16.ccittFalse(header[25..<256]), radix: 16, uppercase: true)
        header.replaceSubrange(
            16..<20, with: Array((String(repeating: "0", count: 4 - checksum.count) + checksum).utf8))
        later.files[path] = header
        let before = try #require(try Self.recordings(later).first)
        #expect(before.original != shared[0].original)
        #expect(importer.identity(of: before.original) == importer.identity(of: shared[0].original))
    }

    @Test func twoFilesOfOximetryAreOneSession() throws {
        var tree = MemoryTree(Self.card(oximeter: true).files())
        let path = ["DATALOG", "20261122", "20261122_223105_SA2.edf"]
        let other = ["DATALOG", "20261122", "20261122_223105_SAD.edf"]
        tree.files[other] = MemoryTree(Self.card().files()).files[path]
        let recordings = try Self.recordings(tree)
        #expect(recordings.map(\.start) == [Self.evening, Self.morning])
        #expect(recordings[0].waveform.channels.count == 13, "what has no value adds nothing")
        #expect(try Set(Self.samples(recordings[0], "SpO2").1) == [89, 95])
        #expect(Self.texts(recordings[0], .surprise).isEmpty)
    }

    @Test func aSingleFileIsReadByTheMachinesRules() throws {
        let tree = MemoryTree(Self.card(fault: .flippedData).files())
        for decode in [{ try ResmedCard().decode($0) }, { try SignalFiles().decode($0) }]
            as [([UInt8]) throws -> ImportedRecording]
        {
            let oximetry = try decode(tree.files[["DATALOG", "20261122", "20261122_223105_SA2.edf"]] ?? [])
            #expect(oximetry.waveform.channels.map(\.name) == ["Pulse rate", "SpO2"])
            #expect(oximetry.waveform.samples.allSatisfy { $0.allSatisfy { $0 == .absent } })
            // Its loans are the machine's.
            #expect(oximetry.device.driver == "resmed-card" && oximetry.device.serial == "SIM00000001")
            #expect(oximetry.start == Self.evening)
            let breathing = try decode(tree.files[["DATALOG", "20261122", "20261122_223105_BRP.edf"]] ?? [])
            #expect(breathing.waveform.channels.map(\.name) == ["Flow", "Pressure"])
            #expect(breathing.notes.contains { $0.text.contains("checksum wrong") && $0.at == 60 })
            let events = try decode(tree.files[["DATALOG", "20261122", "20261122_223057_EVE.edf"]] ?? [])
            #expect(
                events.waveform.channels.isEmpty
                    && events.notes.filter { $0.kind == .event }.map(\.at) == [62, 182, 314])
        }
    }

    @Test func aCopiedFolderOfNightsIsRead() throws {
        let card = MemoryTree(Self.card().files())
        var copied = MemoryTree()
        for (path, bytes) in card.files where path[0] == "DATALOG" {
            copied.files[["stick", "NAME"] + path[2...]] = bytes
        }
        let recordings = try Self.recordings(copied)
        #expect(recordings.map(\.start) == [Self.evening, Self.morning])
        #expect(recordings[0].device.serial == "SIM00000001" && Self.texts(recordings[0], .surprise).isEmpty)
        // What the folder is called may be somebody's name.
        #expect(try Ustar(decoding: recordings[0].original).entries.allSatisfy { !$0.name.contains("NAME") })
        let whole = try Self.recordings(card)
        let importer = ResmedCard()
        #expect(
            recordings.map { importer.identity(of: $0.original) } == whole.map { importer.identity(of: $0.original) })
        // A card whose statistics are gone.
        var without = card
        without.files[["STR.edf"]] = nil
        #expect(try Self.recordings(without).map(\.original) == whole.map(\.original))
    }

    @Test func sixWordsWithoutChecksumsAreNoWrongChecksum() throws {
        var bytes = try #require(
            MemoryTree(Self.card(.s9).files()).files[["DATALOG", "20261122_223105_BRP.edf"]])
        bytes.replaceSubrange(8..<24, with: Array("X X X X X X     ".utf8))
        #expect(try ResmedFile(bytes).surprises.contains("the header has no checksums"))
    }

    @Test func aCopyInCapitalsIsStillHeldAgainstItsChecksums() throws {
        var tree = MemoryTree()
        for (path, bytes) in Self.card(.airSense10).files() { tree.files[path.map { $0.uppercased() }] = bytes }
        tree.files[["DATALOG", "20261122", "20261122_223105_BRP.CRC"]] = Array(repeating: 1, count: 8)
        let recording = try #require(try Self.recordings(tree).first)
        #expect(Self.texts(recording, .surprise) == ["BRP: the checksum file beside it doesn't match"])
    }

    /// Whose a card's other files are is asked of its machine's loans.
    @Test func whatElseIsOnTheCardIsTheMachines() throws {
        var tree = MemoryTree(Self.card(fault: .noRecords).files())
        tree.files[["DCIM", "a.dcm"]] = [1]
        tree.files[["SETTINGS", "a.json"]] = [1]
        let orphan = ["DATALOG", "20261130", "20261130_221500_TCV.edf"]
        tree.files[orphan] = tree.files[["DATALOG", "20261122", "20261123_040250_BRP.edf"]]
        let (items, memories) = try ResmedCard().look(in: tree)
        let memory = try #require(memories.first)
        #expect(items.count == 1 && memories.count == 1)
        #expect(memory.device.driver == "resmed-card" && memory.device.serial == "SIM00000001")
        #expect(memory.device.model == "AirSense 11 AutoSet")
        #expect(memory.owns(orphan) && memory.owns(["SETTINGS", "a.json"]) && memory.owns(["JOURNAL.JNL"]))
        #expect(!memory.owns(["DCIM", "a.dcm"]) && memory.holds(["DCIM", "a.dcm"]))
        #expect(memory.empty.contains(["DATALOG", "20261122", "20261122_223105_BRP.edf"]))
        #expect(!memory.empty.contains(orphan))
        // Its own header counts, which is the morning's.
        #expect(memory.time(of: orphan) == memory.time(of: ["DATALOG", "20261122", "20261123_040250_BRP.edf"]))
        #expect(memory.time(of: ["SETTINGS", "a.json"])?.upperBound == Self.morning)
        #expect(memory.time(of: ["DCIM", "a.dcm"]) == nil)
    }

    @Test func anUnreadableFileIsNotPassedOver() throws {
        var card = Self.card()
        // Of another day: the evening's file of events may be all of its day's.
        card.sessions[1].start = try #require(LocalTime(civilSeconds: Self.morning.civilSeconds + 86_400))
        var tree = MemoryTree(card.files())
        tree.unreadable = [["DATALOG", "20261122", "20261122_223057_EVE.edf"]]
        let importer = ResmedCard()
        let items = try importer.find(in: tree)
        #expect(items.count == 2)
        #expect(throws: ImportError.tree(.unreadable("file", 5))) { try importer.read(items[0], from: tree) }
        #expect(throws: Never.self) { try importer.read(items[1], from: tree) }
        #expect(throws: ImportError.notRecognised) { try importer.decode(Array("something else".utf8)) }
    }

    @Test func othersCardsAreNone() throws {
        var tree = MemoryTree([(["DATALOG", "x.edf"], [1, 2, 3]), (["STR.edf"], [])])
        #expect(try ResmedCard().find(in: tree).isEmpty)
        tree.files = [["STR.edf"]: [], ["20261122_223105_BRP.edf"]: Array(repeating: 0x20, count: 900)]
        #expect(try ResmedCard().find(in: tree).isEmpty)
    }

    // MARK: - Vectors

    @Test func checksumVectors() {
        let check = Array("123456789".utf8)
        #expect(
            CRC16.ccittFalse(check) == 0x29B1 && CRC16.xmodem(check) == 0x31C3 && Wire.CRC32.ieee(check) == 0xCBF4_3926)
        // A real AirSense 11's first event record, and a minute without oximeter (devices.md 4.3).
        let record = ResmedWriter.annotation(onset: 0, duration: 0, text: "Recording starts", size: 62)
        #expect(record.count == 62 && CRC16.ccittFalse(record) == 0xD794)
        #expect(CRC16.ccittFalse([UInt8](repeating: 0xFF, count: 240)) == 0xDB36)
    }

    @Test func theFixtureCardIsWhatTheSimulatorMakes() throws {
        let card = ResmedSimulatedCard(
            model: .airSense11, sessions: [.init(start: Self.evening, minutes: 2, apnoeas: 1, oximeter: true)])
        try expectFixture("resmed-card/card", card.files())
    }

    @Test(
        .enabled(if: Reference.has("checks/resmed_crc.py"), "needs ../shared/checks/resmed_crc.py"),
        arguments: [ResmedSimulatedCard.Model.airSense10, .airSense11])
    func aThirdPartysCheckIsContent(_ model: ResmedSimulatedCard.Model) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "resmed-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        for (path, bytes) in Self.card(model).files() {
            let url = folder.appending(path: path.joined(separator: "/"))
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: url)
        }
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", Reference.url("checks/resmed_crc.py").path, folder.path]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/usr/bin/python3"), "needs python3"))
    func anotherProgramReadsTheArchive() throws {
        let tree = MemoryTree(Self.card(.airSense10).files())
        let item = try #require(try ResmedCard().find(in: tree).first)
        let archive = FileManager.default.temporaryDirectory.appending(path: "session-\(UUID().uuidString).tar")
        defer { try? FileManager.default.removeItem(at: archive) }
        try Data(ResmedCard().read(item, from: tree).original).write(to: archive)
        let program = """
            import sys, tarfile, zlib
            for member in tarfile.open(sys.argv[1], "r:").getmembers():
                print(member.name, zlib.crc32(tarfile.open(sys.argv[1]).extractfile(member).read()))
            """
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/python3")
        process.arguments = ["-c", program, archive.path]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let said = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let expected = item.parts.map { "\($0.joined(separator: "/")) \(Wire.CRC32.ieee(tree.files[$0] ?? []))\n" }
        #expect(said == expected.joined())
    }

    @Test func survivesAnything() throws {
        let card = ResmedSimulatedCard(
            model: .airSense10, sessions: [.init(start: Self.evening, minutes: 2, apnoeas: 2)])
        let tree = MemoryTree(card.files())
        let sampled = try #require(tree.files.first { $0.key.last == "20261122_223105_SAD.edf" }?.value)
        for (path, bytes) in tree.files {
            guard let text = path.last, let name = ResmedFileName(text) else { continue }
            // Events are only placed beside something that has samples.
            let others = name.kind.isSampled ? [] : [(name: "20261122_223105_SAD.edf", bytes: sampled)]
            tortureFile(bytes, whole: 256 * 4, stride: 997, seed: 7) { broken in
                _ = try? ResmedSession(others + [(text, broken)]).waveform.summaries
            }
        }
        let statistics = try #require(tree.files[["STR.edf"]])
        tortureFile(statistics, whole: 300, stride: 397, seed: 8) { _ = try? ResmedStatistics($0).day(20_000) }
        let item = try #require(try ResmedCard().find(in: tree).last)
        let original = try ResmedCard().read(item, from: tree).original
        tortureFile(original, whole: 600, stride: 513, seed: 9) { _ = try? ResmedCard().decode($0) }
        let json = Array(Self.card().files().first { $0.path == ["Identification.json"] }?.bytes ?? [])
        tortureFile(json, whole: json.count, stride: 1, seed: 10) { _ = ResmedIdentification(json: $0) }
        tortureFile(json, whole: json.count, stride: 1, seed: 11) { _ = ResmedIdentification(lines: $0) }
    }
}
