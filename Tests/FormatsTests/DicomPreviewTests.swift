import Formats
import Testing

/// A small DICOM image, put together by hand.
private struct Image {
    var syntax = "1.2.840.10008.1.2.1"
    var rows = 4
    var columns = 6
    var samples = 1
    var photometric = "MONOCHROME2"
    var planar = 0
    var bits = 8
    var pixels: [UInt8] = (0..<24).map { UInt8($0 * 10) }
    var fragments: [[UInt8]]?
    /// A sequence of undefined length before the pixels.
    var nested = true

    private func u16(_ value: Int) -> [UInt8] { [UInt8(value & 0xFF), UInt8(value >> 8 & 0xFF)] }
    private func u32(_ value: Int) -> [UInt8] { u16(value & 0xFFFF) + u16(value >> 16 & 0xFFFF) }

    private func element(_ group: Int, _ number: Int, _ vr: String, _ value: [UInt8], implicit: Bool) -> [UInt8] {
        let padded = value.count % 2 == 0 ? value : value + [0x20]
        let tag = u16(group) + u16(number)
        if implicit { return tag + u32(padded.count) + padded }
        return ["OB", "SQ"].contains(vr)
            ? tag + Array(vr.utf8) + [0, 0] + u32(padded.count) + padded
            : tag + Array(vr.utf8) + u16(padded.count) + padded
    }

    var file: [UInt8] {
        let implicit = syntax == "1.2.840.10008.1.2"
        var bytes = [UInt8](repeating: 0, count: 128) + Array("DICM".utf8)
        bytes += element(2, 0x10, "UI", Array(syntax.utf8) + [0], implicit: false)
        if nested {
            bytes += u16(8) + u16(0x1140) + (implicit ? [] : Array("SQ".utf8) + [0, 0]) + u32(0xFFFF_FFFF)
            bytes += u16(0xFFFE) + u16(0xE000) + u32(0xFFFF_FFFF)
            // Rows of an icon: not ours.
            bytes += element(0x28, 0x10, "US", u16(1), implicit: implicit)
            bytes += u16(0xFFFE) + u16(0xE00D) + u32(0) + u16(0xFFFE) + u16(0xE0DD) + u32(0)
        }
        bytes += element(0x28, 2, "US", u16(samples), implicit: implicit)
        bytes += element(0x28, 4, "CS", Array(photometric.utf8), implicit: implicit)
        bytes += element(0x28, 6, "US", u16(planar), implicit: implicit)
        bytes += element(0x28, 0x10, "US", u16(rows), implicit: implicit)
        bytes += element(0x28, 0x11, "US", u16(columns), implicit: implicit)
        bytes += element(0x28, 0x100, "US", u16(bits), implicit: implicit)
        if let fragments {
            bytes += u16(0x7FE0) + u16(0x10) + Array("OB".utf8) + [0, 0] + u32(0xFFFF_FFFF)
            for fragment in [[]] + fragments { bytes += u16(0xFFFE) + u16(0xE000) + u32(fragment.count) + fragment }
            bytes += u16(0xFFFE) + u16(0xE0DD) + u32(0)
        } else {
            bytes += element(0x7FE0, 0x10, "OB", pixels, implicit: implicit)
        }
        return bytes
    }
}

@Suite("A small picture of a DICOM image")
struct DicomPreviewTests {
    @Test(arguments: ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
    func greyAsABitmap(syntax: String) throws {
        let picture = DicomPreview.picture(of: Image(syntax: syntax).file)
        guard case .bitmap(let bytes)? = picture else {
            Issue.record("no bitmap")
            return
        }
        #expect(bytes.starts(with: Array("BM".utf8)) && bytes.count == 54 + 20 * 4)
        #expect(bytes[18] == 6 && bytes[22] == 4 && bytes[28] == 24)
        // The lowest row comes first: its first pixel is 18 times ten.
        #expect(bytes[54..<57].allSatisfy { $0 == 180 })
        #expect(Array(bytes[54 + 60..<54 + 66]) == [0, 0, 0, 10, 10, 10])
    }

    @Test func coloursPlanesAndInverse() {
        let colour = Image(
            rows: 1, columns: 2, samples: 3, photometric: "RGB", pixels: [1, 2, 3, 4, 5, 6])
        guard case .bitmap(let bytes)? = DicomPreview.picture(of: colour.file) else {
            Issue.record("no bitmap")
            return
        }
        #expect(Array(bytes[54..<60]) == [3, 2, 1, 6, 5, 4])
        var planes = colour
        planes.planar = 1
        guard case .bitmap(let other)? = DicomPreview.picture(of: planes.file) else {
            Issue.record("no bitmap")
            return
        }
        #expect(Array(other[54..<60]) == [5, 3, 1, 6, 4, 2])
        let inverse = Image(rows: 1, columns: 2, photometric: "MONOCHROME1", pixels: [0, 255])
        guard case .bitmap(let grey)? = DicomPreview.picture(of: inverse.file) else {
            Issue.record("no bitmap")
            return
        }
        #expect(Array(grey[54..<60]) == [255, 255, 255, 0, 0, 0])
    }

    @Test func largeOnesAreMadeSmall() {
        let large = Image(rows: 600, columns: 800, pixels: [UInt8](repeating: 7, count: 480_000))
        guard case .bitmap(let bytes)? = DicomPreview.picture(of: large.file, width: 320) else {
            Issue.record("none")
            return
        }
        #expect(Int(bytes[18]) | Int(bytes[19]) << 8 == 266 && Int(bytes[22]) | Int(bytes[23]) << 8 == 200)
    }

    @Test func theFirstFrameOfJPEG() {
        var image = Image(syntax: "1.2.840.10008.1.2.4.50")
        image.fragments = [[0xFF, 0xD8, 0xFF, 0xDB], [1, 2], [0xFF, 0xD8, 0xFF, 0xE0]]
        #expect(DicomPreview.picture(of: image.file) == .jpeg([0xFF, 0xD8, 0xFF, 0xDB, 1, 2]))
        image.syntax = "1.2.840.10008.1.2.4.90"
        #expect(DicomPreview.picture(of: image.file) == nil)
    }

    @Test func whatCantBeShownIsNil() {
        #expect(DicomPreview.picture(of: Image(bits: 16).file) == nil)
        #expect(DicomPreview.picture(of: Image(photometric: "PALETTE COLOR").file) == nil)
        #expect(DicomPreview.picture(of: Image(rows: 60_000, columns: 60_000).file) == nil)
        #expect(DicomPreview.picture(of: []) == nil)
    }

    @Test func cutAndBrokenFilesDoNoHarm() {
        var file = Image().file
        for length in 0..<file.count { #expect(DicomPreview.picture(of: Array(file[..<length])) == nil) }
        var random = SystemRandomNumberGenerator()
        for index in 132..<file.count {
            let before = file[index]
            file[index] = UInt8.random(in: 0...255, using: &random)
            _ = DicomPreview.picture(of: file)
            file[index] = 0xFF
            _ = DicomPreview.picture(of: file)
            file[index] = before
        }
    }
}
