public import Bundles

/// One bundle in a registry, as far as it is known without fetching its weights.
public struct Artifact: Sendable, Hashable {
  /// A blob, by its SHA-256 (`sha256:…`) and length in bytes.
  public struct Blob: Sendable, Hashable {
    public let digest: String
    public let size: Int

    public init(digest: String, size: Int) {
      self.digest = digest
      self.size = size
    }
  }

  public let name: String
  public let version: SemanticVersion
  /// `publisher/name@version`.
  public var identity: String { "\(name)@\(version)" }
  public let kind: Manifest.Kind
  public let task: String
  public let summary: String
  public let license: String
  /// The core it is, or was made for.
  public let coreDigest: String
  /// Of the OCI manifest: the artifact's identity.
  public let digest: String
  /// `manifest.yaml`.
  public let manifest: Blob
  /// The zip.
  public let bundle: Blob
}
