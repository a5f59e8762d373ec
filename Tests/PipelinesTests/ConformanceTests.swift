import Foundation
import Imaging
import Pipelines
import Tensor
import TestSupport
import Testing

/// What a conversion promises of a photograph, for every file format: each promise is tried out, and the table of
/// Documentation/Conformance.md says what came of it.
@Suite("The photographic contract") struct ConformanceTests {
  @Test("a promise is kept in every format, or the table says why not", arguments: Promise.allCases)
  func kept(_ promise: Promise) async throws {
    let committed = try String(contentsOf: ConformanceTable.file, encoding: .utf8)
    let row = try await ConformanceTable.row(promise)
    #expect(committed.contains(row), "make conformance would write: \(row)")
  }

  @Test("the table has every promise and every reason, and nothing else")
  func complete() throws {
    let committed = try String(contentsOf: ConformanceTable.file, encoding: .utf8)
    let rows = committed.split(separator: "\n").filter { $0.hasPrefix("| ") && !$0.hasPrefix("| promise") }
    #expect(rows.count == Promise.allCases.count)
    for (promise, row) in zip(Promise.allCases, rows) { #expect(row.hasPrefix("| \(promise.rawValue) |")) }
    let notes = committed.split(separator: "\n").filter { $0.wholeMatch(of: /\d+\. .*/) != nil }.map(String.init)
    #expect(notes == ConformanceTable.notes)
  }

  @Test("write the table", .enabled(if: ProcessInfo.processInfo.environment["CODI_WRITE_CONFORMANCE"] != nil))
  func write() async throws {
    var rows: [String] = []
    for promise in Promise.allCases { rows.append(try await ConformanceTable.row(promise)) }
    try ConformanceTable.text(rows).write(to: ConformanceTable.file, atomically: true, encoding: .utf8)
  }

  @Test("files that are hostile, of something else or empty fail by name, and nothing is left of them")
  func hostile() async throws {
    let bench = try ConformanceBench()
    let files: [(String, [UInt8])] = [
      ("empty.png", []), ("text.jpg", Array("This is no picture.".utf8)),
      ("zeros.tif", [UInt8](repeating: 0, count: 4096)), ("giant.png", pngHeader(width: 60_000, height: 60_000)),
      ("widest.png", pngHeader(width: .max >> 1, height: 1)), ("tall.png", pngHeader(width: 20_000, height: 20_000)),
      ("claim.tif", tiff(width: 65_000, height: 60_000, samples: 3, photometric: 2, data: [1, 2, 3])),
      ("short.tif", tiff(width: 9_000, height: 9_000, samples: 3, photometric: 2, data: [1, 2, 3])),
      ("webp.webp", Array("RIFF\u{FF}\u{FF}WEBPVP8X".utf8)), ("heif.heic", Array("\0\0\0\u{1c}ftypheic\0\0\0\0".utf8)),
    ]
    for (name, bytes) in files { try Data(bytes).write(to: URL(filePath: bench.folder("in/\(name)"))) }
    let result = try await bench.job("in", into: "out")
    #expect(result.failures.count == files.count && result.converted == 0)
    for failure in result.failures {
      #expect(failure.reason.hasPrefix(failure.item.input), "it names the file: \(failure.reason)")
    }
    #expect(bench.folder.names("out") == [])
  }
}

/// A promise of Documentation/Batch.md.
enum Promise: String, CaseIterable, Sendable {
  case read = "is read"
  case written = "is written"
  case sameFormat = "comes out in its own format"
  case eightBits = "8 bits stay 8"
  case sixteenBits = "16 bits stay 16"
  case profile = "the ICC profile is used, and restored"
  case grey = "grey is read"
  case cmyk = "CMYK is read"
  case alpha = "alpha is kept apart, and restored"
  case orientation = "the EXIF orientation is applied, once"
  case exif = "EXIF is kept"
  case xmp = "XMP is kept"
  case provenance = "provenance is written, and found again"
  case strip = "--strip drops all three, and keeps the profile"
  case repeatable = "the same source gives the same bytes"
  case truncated = "a truncated file fails by name"
  case limit = "too many pixels are refused from the header"
  case rows = "is decoded row by row"
}

enum Format: String, CaseIterable, Sendable {
  case jpeg = "JPEG"
  case png = "PNG"
  case webp = "WebP"
  case tiff = "TIFF"
  case avif = "AVIF"
  case heif = "HEIF"

  var suffix: String { self == .tiff ? "tif" : self == .heif ? "heic" : rawValue.lowercased() }
  /// As `probe` names it.
  var name: String { rawValue.lowercased() }
}

enum ConformanceTable {
  static let file = Toy.root.appending(path: "Documentation/Conformance.md")

  /// Why a promise is not kept: of the format, or of what reads and writes it.
  static let reasons: [String] = [
    "The format has 8 bits.",
    "The format has 12 bits at most; they are kept.",
    "The format has no grey.",
    "The format has no CMYK.",
    "The format has no alpha: it is laid on white.",
    "libvips 8.14 writes no EXIF into TIFF.",
    "HEIF turns pictures by a property of its own, which libheif applies; EXIF's orientation does not count.",
    "Read only: Debian's HEVC encoder takes threads of its own and far more time than AV1's. The result is PNG.",
    "Not tried: nothing at hand writes such a file.",
    "Codecs or libvips decode it as a whole; a quarter of the pixels is allowed.",
  ]
  static let notes = reasons.enumerated().map { "\($0.offset + 1). \($0.element)" }

  private static func reason(_ promise: Promise, _ format: Format) -> Int? {
    switch (promise, format) {
    case (.sixteenBits, .jpeg), (.sixteenBits, .webp): 1
    case (.sixteenBits, .avif): 2
    case (.sixteenBits, .heif), (.grey, .avif), (.grey, .heif): 9
    case (.grey, .webp): 3
    case (.cmyk, .png), (.cmyk, .webp), (.cmyk, .avif), (.cmyk, .heif): 4
    case (.alpha, .jpeg): 5
    case (.exif, .tiff): 6
    case (.orientation, .avif): 7
    case (.written, .heif), (.sameFormat, .heif): 8
    case (.rows, .webp), (.rows, .avif), (.rows, .heif): 10
    default: nil
    }
  }

  /// Tries the promise out in every format.
  static func row(_ promise: Promise) async throws -> String {
    var cells: [String] = []
    for format in Format.allCases {
      let isKept = try await ConformanceBench().keeps(promise, format)
      let reason = reason(promise, format)
      #expect(isKept == (reason == nil), "\(format.rawValue): \(promise.rawValue)")
      cells.append(isKept ? "yes" : reason.map { "no (\($0))" } ?? "broken")
    }
    return "| \(promise.rawValue) | \(cells.joined(separator: " | ")) |"
  }

  static func text(_ rows: [String]) -> String {
    """
    # Conformance

    What a conversion keeps of a photograph, by file format: written by `make conformance`, which tries every cell out; \
    `make test` fails where the table is not what it finds. Numbers are the reasons below. What is promised is in \
    [Batches](Batch.md).

    | promise | \(Format.allCases.map(\.rawValue).joined(separator: " | ")) |
    |---|\(String(repeating: "---|", count: Format.allCases.count))
    \(rows.joined(separator: "\n"))

    \(notes.joined(separator: "\n"))

    GIF is read as well, its first picture; results are PNG. Empty files, files of something else, and headers that claim \
    more than 500 million pixels fail by name, without being decoded.

    """
  }
}
