import Foundation
import Imaging
import Pipelines
import Tensor
import TestSupport
import Testing

/// A folder in which one promise is tried out for one format, through a whole job with a toy adapter.
struct ConformanceBench {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    _ = try folder.make("in")
  }

  func keeps(_ promise: Promise, _ format: Format) async throws -> Bool {
    switch promise {
    case .read: return try await convert(try sample(format)) != nil
    case .written:
      guard let made = PictureFormat(path: "a.\(format.suffix)") else { return false }
      try Imaging.write(plain(), to: folder("in/a.png"))
      return try await convert(folder("in/a.png"), format: made).map { try probe($0).format } == format.name
    case .sameFormat: return try await convert(try sample(format)).map { try probe($0).format } == format.name
    case .eightBits: return try await convert(try sample(format)).map { try probe($0).bitDepth } == 8
    case .sixteenBits: return try await keepsSixteenBits(format)
    case .profile: return try await keepsProfile(format)
    case .grey: return try await reads(Self.grey(format), format) { $0.allSatisfy { (198...202).contains($0) } }
    case .cmyk:
      // Cyan: little red, much blue.
      return try await reads(Self.cyan(format), format) { $0[0] < 100 && $0[2] > 130 }
    case .alpha: return try await keepsAlpha(format)
    case .orientation: return try await appliesOrientation(format)
    case .exif: return try await keepsBytes("ACME", format)
    case .xmp: return try await keepsXMP(format)
    case .provenance: return try await writesProvenance(format)
    case .strip: return try await strips(format)
    case .repeatable:
      let source = try sample(format)
      guard let one = try await convert(source), let two = try await convert(source, into: "again") else {
        return false
      }
      return try Data(contentsOf: URL(filePath: one)) == Data(contentsOf: URL(filePath: two))
    case .truncated: return try await failsTruncated(format)
    case .limit:
      let source = try sample(format)
      do { _ = try PictureReader(source, maximumPixels: 100) } catch { return error.code == .tooLarge }
      return false
    case .rows: return try probe(try sample(format)).isDecodedInRows
    }
  }

  // MARK: Conversion

  func job(
    _ input: String, into: String, format: PictureFormat? = nil, isStripping: Bool = false
  ) async throws -> JobResult {
    var options = Converter.Options()
    (options.steps, options.precision) = (1, .f32)
    let stage = Chain.Stage(try Toy.adapter(), digest: "sha256:toy") { try Toy.plugin($0, seed: $1) }
    let chain = try Chain([stage], options: options, program: "test", isStripping: isStripping)
    let plan = try JobPlan(inputs: [folder(input)], into: try folder.make(into), format: format)
    return try await Job(plan, chain, try Journal()).run(events: { _ in })
  }

  /// The result of one picture; `nil` when it failed.
  private func convert(
    _ path: String, into: String = "out", format: PictureFormat? = nil, isStripping: Bool = false
  ) async throws -> String? {
    let name = "in/" + ((path as NSString).lastPathComponent)
    let result = try await job(name, into: into, format: format, isStripping: isStripping)
    guard result.converted == 1, let made = folder.names(into).first(where: { !$0.hasPrefix(".") }) else { return nil }
    return folder("\(into)/\(made)")
  }

  // MARK: Sources

  private static let note = """
    <x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
    <rdf:Description rdf:about="" xmlns:demo="urn:demo"><demo:note>kept</demo:note></rdf:Description></rdf:RDF></x:xmpmeta>
    """

  private func plain() -> Picture { Pictures.make(.photo, width: 24, height: 16) }

  private func path(_ format: Format) -> String { folder("in/picture.\(format.suffix)") }

  /// A picture with everything that the format takes of EXIF, XMP and a profile.
  private func sample(_ format: Format, _ change: (inout Picture) -> Void = { _ in }) throws -> String {
    let path = path(format)
    if format == .heif {
      try SampleFiles.heic.write(to: URL(filePath: path))
      return path
    }
    // EXIF comes from a JPEG with a block made by hand.
    let jpeg = withOrientation(1, try encode(plain(), as: .jpeg))
    try Data(jpeg).write(to: URL(filePath: folder("exif.jpg")))
    var picture = plain()
    picture.metadata = try readPicture(folder("exif.jpg")).metadata
    picture.metadata.xmp = Array(Self.note.utf8)
    picture.iccProfile = profile { pow($0, 1.5) }
    change(&picture)
    try Imaging.write(picture, to: path, quality: 95)
    return path
  }

  private static func grey(_ format: Format) -> Data? {
    switch format {
    case .jpeg: SampleFiles.greyJPEG
    case .png: SampleFiles.greyPNG
    case .tiff: Data(tiff(width: 4, height: 4, samples: 1, photometric: 1, data: [UInt8](repeating: 200, count: 16)))
    case .webp, .avif, .heif: nil
    }
  }

  private static func cyan(_ format: Format) -> Data? {
    switch format {
    case .jpeg: SampleFiles.cmykJPEG
    case .tiff:
      Data(
        tiff(
          width: 4, height: 4, samples: 4, photometric: 5, data: (0..<64).map { $0 % 4 == 0 ? 255 : 0 }))
    case .png, .webp, .avif, .heif: nil
    }
  }

  // MARK: Promises

  private func reads(_ file: Data?, _ format: Format, _ isRight: ([UInt8]) -> Bool) async throws -> Bool {
    guard let file else { return false }
    try file.write(to: URL(filePath: path(format)))
    guard isRight(Bitmap(try readPicture(path(format))).pixels) else { return false }
    return try await convert(path(format)) != nil
  }

  private func keepsSixteenBits(_ format: Format) async throws -> Bool {
    guard format != .heif else { return false }
    let source = try sample(format) { picture in
      picture.bitDepth = .sixteen
      picture.iccProfile = nil
      picture.pixels = (0..<picture.pixels.count).map { Float($0 * 37) / 65535 }
    }
    guard try readPicture(source).pixels == (0..<24 * 16 * 3).map({ Float($0 * 37) / 65535 }) else { return false }
    return try await convert(source).map { try probe($0).bitDepth } == 16
  }

  private func keepsProfile(_ format: Format) async throws -> Bool {
    let source = try sample(format) { picture in
      picture = Picture(
        width: 24, height: 16, pixels: (0..<24 * 16).flatMap { _ in [0.6, 0.4, 0.3] as [Float] },
        iccProfile: picture.iccProfile)
    }
    let read = try readPicture(source)
    // HEIF's sample is (200, 100, 50) in Display P3, whose red lies outside sRGB's.
    let isUsed =
      format == .heif
      ? read.pixels[0] > 205 / 255 : zip(read.pixels, [0.6, 0.4, 0.3]).allSatisfy { abs($0 - $1) < 0.03 }
    guard isUsed, let own = read.iccProfile, let made = try await convert(source) else { return false }
    return try readPicture(made).iccProfile == own
  }

  private func keepsAlpha(_ format: Format) async throws -> Bool {
    let source = try sample(format) { $0.alpha = (0..<24 * 16).map { $0 % 24 < 12 ? 1 : 0 } }
    guard let made = try await convert(source), let alpha = try readPicture(made).alpha else { return false }
    if format == .heif { return alpha.allSatisfy { abs($0 - 0.5) < 0.02 } }
    return alpha[8 * 96 + 4] > 0.97 && alpha[8 * 96 + 90] < 0.03
  }

  private func appliesOrientation(_ format: Format) async throws -> Bool {
    let source = try sample(format)
    let upright = try probe(source)
    try turned([UInt8](Data(contentsOf: URL(filePath: source))), format).write(to: URL(filePath: source))
    let header = try probe(source)
    guard header.width == upright.height, header.height == upright.width, let made = try await convert(source) else {
      return false
    }
    // Turned twice it would lie on its side again.
    return try probe(made).width == 4 * header.width && readPicture(made).height == 4 * header.height
  }

  /// The file with 6 as its orientation instead of 1: a quarter to the right.
  private func turned(_ file: [UInt8], _ format: Format) -> Data {
    var bytes = file
    for (entry, at) in [
      ([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 1], 9), ([0x12, 0x01, 3, 0, 1, 0, 0, 0, 1, 0], 8),
    ] as [([UInt8], Int)] {
      for place in bytes.ranges(of: entry) { bytes[place.lowerBound + at] = 6 }
    }
    guard format == .png, let chunk = bytes.firstRange(of: Array("eXIf".utf8)) else { return Data(bytes) }
    let start = chunk.lowerBound
    let length = bytes[(start - 4)..<start].reduce(0) { $0 << 8 | Int($1) }
    var crc: UInt32 = .max
    for byte in bytes[start..<(start + 4 + length)] {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
    }
    for i in 0..<4 { bytes[start + 4 + length + i] = UInt8(truncatingIfNeeded: ~crc >> (24 - 8 * i)) }
    return Data(bytes)
  }

  private func keepsBytes(_ text: String, _ format: Format) async throws -> Bool {
    guard let made = try await convert(try sample(format)) else { return false }
    return try Data(contentsOf: URL(filePath: made)).range(of: Data(text.utf8)) != nil
  }

  private func keepsXMP(_ format: Format) async throws -> Bool {
    guard let made = try await convert(try sample(format)), let packet = try readPicture(made).metadata.xmp else {
      return false
    }
    return XMPProperty(namespace: "urn:demo", prefix: "demo", name: "note").value(in: packet) == "kept"
  }

  private func writesProvenance(_ format: Format) async throws -> Bool {
    // A packet of the source is added to; where it has none the program begins one.
    for (into, hasPacket) in [("out", true), ("bare", false)] {
      let source = try sample(format) { if !hasPacket { $0.metadata = Picture.Metadata() } }
      guard let made = try await convert(source, into: into), let found = try Provenance.read(made),
        found.source.hasPrefix("sha256:"), found.stages.map(\.digest) == ["sha256:toy"]
      else { return false }
    }
    return true
  }

  private func strips(_ format: Format) async throws -> Bool {
    let source = try sample(format)
    guard let made = try await convert(source, isStripping: true) else { return false }
    let bytes = try Data(contentsOf: URL(filePath: made))
    let picture = try readPicture(made)
    return try bytes.range(of: Data("ACME".utf8)) == nil && bytes.range(of: Data("xpacket".utf8)) == nil
      && picture.metadata.xmp == nil && picture.iccProfile == readPicture(source).iccProfile
  }

  private func failsTruncated(_ format: Format) async throws -> Bool {
    let source = try sample(format)
    let bytes = try Data(contentsOf: URL(filePath: source))
    // TIFF has its pixels first; a profile that is cut off behind them is not missed by libtiff.
    try bytes.prefix(format == .tiff ? bytes.count / 40 : bytes.count * 3 / 5).write(to: URL(filePath: source))
    let result = try await job("in/" + (source as NSString).lastPathComponent, into: "out")
    return result.failures.first?.reason.hasPrefix(source) == true && folder.names("out") == []
  }
}
