internal import Bundles
internal import Foundation

/// The JSON documents of an OCI image layout (image-spec 1.1), with the members we write.
enum OCI {
  static let layoutFile = "oci-layout"
  static let indexFile = "index.json"
  static let manifestType = "application/vnd.oci.image.manifest.v1+json"
  static let indexType = "application/vnd.oci.image.index.v1+json"
  static let bundleManifestType = "application/vnd.codi.manifest.v1+yaml"
  static let bundleType = "application/vnd.codi.bundle.v1+zip"

  static let statementsType = "application/vnd.codi.statements.v1+json"
  static let signatureType = "application/vnd.codi.signature.v1+minisig"

  enum Annotation {
    /// In index.json: `publisher/name:version`.
    static let reference = "org.opencontainers.image.ref.name"
    static let version = "org.opencontainers.image.version"
    static let license = "org.opencontainers.image.licenses"
    static let summary = "org.opencontainers.image.description"
    static let title = "org.opencontainers.image.title"
    static let kind = "org.codi.kind"
    static let task = "org.codi.task"
    static let coreDigest = "org.codi.core.digest"
  }

  struct Layout: Codable {
    var imageLayoutVersion = "1.0.0"
  }

  struct Descriptor: Codable, Hashable {
    var mediaType: String
    var digest: String
    var size: Int
    var annotations: [String: String]?
    var artifactType: String?

    var blob: Artifact.Blob { Artifact.Blob(digest: digest, size: size) }
  }

  struct Image: Codable, Hashable {
    var schemaVersion = 2
    var mediaType = OCI.manifestType
    var artifactType = OCI.bundleManifestType
    var config: Descriptor
    var layers: [Descriptor]
    var annotations: [String: String]
  }

  struct Index: Codable {
    var schemaVersion = 2
    var mediaType: String? = OCI.indexType
    var manifests: [Descriptor] = []

    /// The entry of that reference, if it is of that type.
    func entry(_ reference: String, _ type: String) -> Descriptor? {
      manifests.first { $0.artifactType == type && $0.annotations?[OCI.Annotation.reference] == reference }
    }
  }

  /// The same value gives the same bytes: keys sorted, no escaped slashes.
  static func encode(_ value: some Encodable, pretty: Bool = false) throws(RegistryError) -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting =
      pretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
    do {
      return try encoder.encode(value) + (pretty ? Data("\n".utf8) : Data())
    } catch {
      throw RegistryError(.corrupt, at: "JSON", "It cannot be written: \(error).", remedy: "Report this as a bug.")
    }
  }

  static func decode<Value: Decodable>(_ type: Value.Type, _ data: Data, at path: String) throws(RegistryError) -> Value
  {
    do {
      return try JSONDecoder().decode(type, from: data)
    } catch {
      throw RegistryError(
        .corrupt, at: path, "This is not the JSON that was expected: \(error).", remedy: "Restore the file.")
    }
  }

  static func digest(of data: Data) -> String { "sha256:" + SHA256.hex(of: data) }

  /// The digits of `sha256:…`; `nil` unless it is exactly that, so a digest never leads out of its folder.
  static func hex(_ digest: String) -> String? {
    guard digest.hasPrefix("sha256:") else { return nil }
    let digits = digest.dropFirst(7)
    guard digits.utf8.count == 64,
      digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
    else { return nil }
    return String(digits)
  }

  /// Bytes of a manifest or a small blob that are read; specifications ask for 4 MiB at least.
  static let documentLimit = 4 << 20

  /// Refuses bytes that are not those which `blob` names.
  static func check(_ data: Data, _ blob: Artifact.Blob, at path: String) throws(RegistryError) {
    try check(digest(of: data), blob, at: path)
    guard data.count == blob.size else {
      throw RegistryError(
        .corrupt, at: path, "The blob has \(data.count) bytes, the document that names it says \(blob.size).",
        remedy: "Tell the registry's owner.")
    }
  }

  static func check(_ found: String, _ blob: Artifact.Blob, at path: String) throws(RegistryError) {
    guard found == blob.digest else {
      throw RegistryError(
        .corrupt, at: path, "The blob's digest is \(found), it should be \(blob.digest).",
        remedy: "Restore the registry from its source, or publish the bundle anew.")
    }
  }

  static func noDigest(_ text: String, at path: String) -> RegistryError {
    RegistryError(
      .corrupt, at: path, "\(text.debugDescription) is not a SHA-256 digest.", remedy: "Tell the registry's owner.")
  }

  /// Refuses a layout of another version than ours.
  static func checkLayout(_ data: Data, at path: String) throws(RegistryError) {
    let version = try decode(Layout.self, data, at: path).imageLayoutVersion
    guard version == Layout().imageLayoutVersion else {
      throw RegistryError(
        .unsupported, at: path, "The layout has version \(version), this program reads 1.0.0.", remedy: "Update codi.")
    }
  }
}
