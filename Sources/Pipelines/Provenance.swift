internal import Adapters
internal import Bundles
internal import Foundation
internal import Imaging
internal import Registry
internal import Tensor

/// How a result was made, written into its file: everything that its bytes depend on beside the source's, and nothing
/// that says when, where or by whom. `codi reproduce` makes the same bytes from it and the source.
public struct Provenance: Codable, Sendable, Hashable {
  /// One adapter of the chain.
  public struct Stage: Codable, Sendable, Hashable {
    /// `publisher/name@version`.
    public var adapter: String
    /// `sha256:…` of the adapter's bundle.
    public var digest: String
    /// `publisher/name@version` of its core, and `sha256:…` of the core's weights and network.
    public var core: String, coreDigest: String
    /// Network evaluations for each region.
    public var steps: Int
    /// What was set; the others had their defaults, which the bundle says.
    public var parameters: [String: String]

    private enum CodingKeys: String, CodingKey {
      case adapter, digest, core, steps, parameters
      case coreDigest = "core-digest"
    }
  }

  /// Of this description.
  public var format = 1
  /// The program's version.
  public var codi: String
  /// `sha256:…` of the source's file.
  public var source: String
  /// `sha256:…` of the other pictures that were brought, by name; left out where there are none.
  public var inputs: [String: String]?
  public var stages: [Stage]
  /// In digits: not every reader of JSON keeps 64 bits.
  public var seed: String
  /// bf16 or f32.
  public var precision: String
  /// Instruction set and libraries.
  public var numerics: String
  /// Largest side of a region, and pixels shared by neighbours.
  public var region: Int, overlap: Int

  // MARK: In a file

  private static let property = XMPProperty(namespace: "urn:codi:provenance:1", prefix: "codi", name: "provenance")
  /// JPEG files hold no longer packet in one piece, and libvips leaves a longer one out.
  private static let longestInJPEG = 60_000

  /// The provenance in the XMP packet of a picture's file; `nil` where there is none.
  /// - Throws: `ImagingError` for what is no picture, `ConversionError` for provenance that is not understood.
  public static func read(_ path: String) throws -> Provenance? {
    guard let packet = try PictureReader(path).metadata.xmp, let text = property.value(in: packet) else { return nil }
    do { return try JSONDecoder().decode(Provenance.self, from: Data(text.utf8)) } catch {
      throw ConversionError(
        .provenance, at: path, "Its provenance is not understood: \(text.prefix(200)).",
        remedy: "It may be from a newer codi; update codi.")
    }
  }

  /// The metadata with the provenance in its XMP packet, beside what else is there. A packet that is not in UTF-8, or
  /// would become too long for the format, gives way to a new one.
  func added(to metadata: Picture.Metadata, for format: PictureFormat?) -> Picture.Metadata {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let text = (try? encoder.encode(self)).map({ String(decoding: $0, as: UTF8.self) }) else { return metadata }
    var made = metadata
    let whole = Self.property.set(text, in: metadata.xmp)
    let fits = format != .jpeg || whole?.count ?? 0 <= Self.longestInJPEG
    made.xmp = whole.flatMap { fits ? $0 : nil } ?? Self.property.set(text, in: nil)
    return made
  }
}

extension Chain {
  /// What a result made with these settings says of itself.
  func provenance(_ settings: Settings, source digest: [UInt8], others: [String: [UInt8]] = [:]) -> Provenance {
    let made = stages.indices.map { index in
      let adapter = stages[index].adapter
      return Provenance.Stage(
        adapter: "\(adapter.manifest.name)@\(adapter.manifest.version)", digest: stages[index].digest,
        core: adapter.core.reference, coreDigest: adapter.core.digest, steps: settings.steps[index],
        parameters: settings.values[index].mapValues(\.text))
    }
    return Provenance(
      codi: program, source: "sha256:" + hex(digest),
      inputs: others.isEmpty ? nil : others.mapValues { "sha256:" + hex($0) }, stages: made, seed: "\(settings.seed)",
      precision: options.precision.rawValue, numerics: Self.numericsOfThisMachine, region: options.region,
      overlap: options.overlap)
  }

  /// What a result's metadata is: the source's with the provenance, or nothing.
  func metadata(
    _ metadata: Picture.Metadata, _ settings: Settings, source digest: [UInt8], others: [String: [UInt8]],
    for format: PictureFormat?
  ) -> Picture.Metadata {
    isStripping
      ? Picture.Metadata() : provenance(settings, source: digest, others: others).added(to: metadata, for: format)
  }

  /// What else changes bits on another machine.
  public static var numericsOfThisMachine: String {
    "\(instructionSet)\(hasNativeBFloat16 ? " with bf16" : ""), oneDNN \(oneDNNVersion), \(imagingLibrary)"
  }
}

extension ParameterValue {
  /// As `Manifest.Parameter.value(of:)` reads it.
  var text: String {
    switch self {
    case .number(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .boolean(let value): "\(value)"
    case .text(let value): value
    }
  }
}

func hex(_ digest: [UInt8]) -> String { digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
