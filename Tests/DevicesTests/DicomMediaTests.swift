import Clinical
import Devices
import Formats
import Foundation
import Testing
import Wire

@Suite struct DicomMediaTests {
    private func file(_ uid: String, patient: String = "DUPONT^Jeanne") -> [UInt8] {
        func element(_ group: UInt8, _ number: UInt8, _ kind: String, _ text: String) -> [UInt8] {
            let value = Array(text.utf8) + (text.utf8.count.isMultiple(of: 2) ? [] : [kind == "UI" ? 0 : 0x20])
            return [group, 0, number, 0] + Array(kind.utf8) + [UInt8(value.count), 0] + value
        }
        return [UInt8](repeating: 0, count: 128) + Array("DICM".utf8)
            + element(0x02, 0x10, "UI", "1.2.840.10008.1.2.1")
            + element(0x08, 0x16, "UI", "1.2.840.10008.5.1.4.1.1.6.1") + element(0x08, 0x18, "UI", uid)
            + element(0x08, 0x60, "CS", "US") + element(0x08, 0x70, "LO", "ACME")
            + element(0x10, 0x10, "PN", patient) + element(0x10, 0x20, "LO", "4711")
            + [0xE0, 0x7F, 0x10, 0x00, 0x4F, 0x57, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4]
    }

    @Test("files are found by content, whatever their names, and told apart from the index")
    func found() throws {
        let importer = DicomMedia()
        var index = file("1.2.9")
        index.replaceSubrange(0..<128, with: [UInt8](repeating: 0, count: 128))
        let mark = Array("1.2.840.10008.1.3.10\0".utf8)
        index.insert(
            contentsOf: [0x02, 0, 0x02, 0, 0x55, 0x49, UInt8(mark.count + 1), 0] + mark + [0], at: 132)
        let tree = MemoryTree([
            (["DICOM", "IM000001"], file("1.2.1")), (["x.txt"], file("1.2.2")), (["DICOMDIR"], index),
            (["readme"], Array("DICM".utf8)), (["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"], file("1.2.3")),
        ])
        let items = try importer.find(in: tree)
        #expect(items.map(\.path.last) == ["IM000001", "j", "x.txt"])
        let carried = try importer.carried(items[0], from: tree)
        #expect(carried.objectID == "1.2.1" && carried.mediaType == "application/dicom")
        #expect(carried.modality == .imaging && carried.claim?.patientID == "4711")
        #expect(carried.study?.modality == "US" && carried.study?.isTruncated == false)
        #expect(carried.device.vendor == "ACME" && !carried.device.isSimulated)
    }

    @Test("an object without waveforms is what its header says, by itself too")
    func alone() throws {
        let read = try decodeAnyFile(file("1.2.1"))
        #expect(read.format == "dicom-media" && read.claim?.patientID == "4711" && read.waveform.channels.isEmpty)
        #expect(read.notes.contains { $0.text.contains("no waveform object") })
    }

    @Test("a file that can't be read is the medium's trouble")
    func unreadable() throws {
        var tree = MemoryTree([(["A"], file("1.2.1"))])
        let item = try #require(try DicomMedia().find(in: tree).first)
        tree.unreadable = [["A"]]
        #expect(throws: ImportError.self) { try DicomMedia().carried(item, from: tree) }
    }

    @Test("no deeper than 16 folders")
    func bounded() throws {
        let deep = (0..<40).map { "d\($0)" }
        let (files, isAll, systems) = try MediumFile.all(in: MemoryTree([(deep, [1]), (["a"], [1])]))
        #expect(files.map(\.path) == [["a"]] && !isAll && systems == 0)
    }

    @Test("recycle bins and folders of operating systems are passed by; what a check of the disk recovered is not")
    func systemFolders() throws {
        let deep = (0..<40).map { "d\($0)" }
        var tree = MemoryTree([
            ([".Trashes", "501"] + deep, file("1.2.1")), (["$Recycle.Bin", "S-1-5", "a"], file("1.2.2")),
            (["SYSTEM VOLUME INFORMATION", "a"], file("1.2.3")), ([".Trash-1000", "files", "a"], file("1.2.4")),
            (["FOUND.000", "FILE0000.CHK"], file("1.2.5")), (["lost+found", "#12"], file("1.2.6")),
            // A file is none of these, whatever it is called.
            (["RECYCLER"], file("1.2.7")),
        ])
        let there = [["FOUND.000", "FILE0000.CHK"], ["RECYCLER"], ["lost+found", "#12"]]
        var (files, isAll, systems) = try MediumFile.all(in: tree)
        #expect(files.map(\.path) == there && isAll && systems == 4)
        #expect(try DicomMedia().find(in: tree).map(\.path) == there)
        // Not to be listed: a recycle bin's content is missed by nobody, nor is what every ext4 has.
        tree.unreadable = [[".Trashes"], ["lost+found"]]
        (files, isAll, systems) = try MediumFile.all(in: tree)
        #expect(files.count == 2 && isAll && systems == 4)
        tree.unreadable = [["FOUND.000"]]
        (files, isAll, systems) = try MediumFile.all(in: tree)
        #expect(files.count == 2 && !isAll && systems == 4)
    }

    @Test(
        "what real echographs wrote", .enabled(if: Reference.has("data/echo"), "../shared/data/echo isn't there"),
        arguments: [
            ("US-PAL-8-10x-echo", "", 10), ("US-RGB-8-esopecho", nil, nil), ("US_implicit_le.dcm", nil, nil),
            ("YBR_FULL-RLE.dcm", nil, nil), ("examples_palette.dcm", nil, nil), ("US1_J2KR.dcm", nil, nil),
            ("examples_ybr_color.dcm", nil, 30), ("stickA/DICOM/SR000001", nil, nil),
        ] as [(String, String?, Int?)])
    func samples(_ name: String, _ patientID: String?, _ frames: Int?) throws {
        let bytes = try Reference.bytes("data/echo/\(name)")
        let tree = MemoryTree([(["F"], bytes)])
        let item = try #require(try DicomMedia().find(in: tree).first)
        let carried = try DicomMedia().carried(item, from: tree)
        #expect(carried.objectID != nil && carried.study?.isTruncated == false)
        if let patientID { #expect(carried.claim?.patientID == patientID) }
        if let frames { #expect(carried.study?.frames == frames) }
        #expect(try DicomMedia().decode(bytes).original == bytes)
    }
}
