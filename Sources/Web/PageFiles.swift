import CPageFiles
import Hummingbird
import NIOCore

/// The page's own files. They are compiled into the program (`#embed` in CPageFiles): a page always fits its daemon, an
/// installed package needs no directory, and nobody can change them on the disk. Editing one and building again is enough,
/// in `make run` as in a package: the compiler notes them as dependencies.
enum PageFiles {
    private static let types = [
        "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8",
        "svg": "image/svg+xml",
    ]

    static func response(_ name: String) -> Response {
        guard let bytes = bytes(of: name), let type = types[String(name.split(separator: ".").last ?? "")] else {
            return Response(status: .notFound)
        }
        return Response(
            status: .ok, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    private static func bytes(of name: String) -> [UInt8]? {
        for index in 0..<ess_page_file_count() {
            // The names and bytes are constants of the program.
            let file = unsafe ess_page_file(index)
            guard unsafe String(cString: file.name) == name else { continue }
            return unsafe Array(UnsafeBufferPointer(start: file.bytes, count: file.size))
        }
        return nil
    }
}
