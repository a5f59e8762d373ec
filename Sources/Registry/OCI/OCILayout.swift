public import Bundles
internal import Foundation

/// One bundle in a registry, as far as it is known without fetching its weights.
public struct Artifact: Sendable, Hashable {
  /// A blob, by its SHA-256 (`sha256:…`) and length in bytes.
  public struct Blob: Sendable, Hashable {
    public let digest: String
    public let size: Int
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

/// A registry in a folder: an OCI image layout (image-spec 1.1).
///
/// - `oci-layout`, `index.json`, `blobs/sha256/<hex>`; nothing else is read or written.
/// - One OCI manifest per bundle: `config` is the bundle's `manifest.yaml`
///   (`application/vnd.codi.manifest.v1+yaml`, also the artifact type), the only layer is the zip
///   (`application/vnd.codi.bundle.v1+zip`). Annotations: `org.opencontainers.image.title` (`publisher/name`),
///   `….version`, `….licenses`, `….description`, `org.codi.kind`, `org.codi.task`, `org.codi.core.digest`.
/// - In `index.json` the annotation `org.opencontainers.image.ref.name` is `publisher/name:version`. Entries of other
///   artifact types are other people's and left alone.
///
/// Everything read is compared with its digest. JSON has sorted keys, so equal contents give equal bytes.
public struct OCILayout: Sendable {
  public let path: String
  /// How trust knows this registry.
  public let source: BundleSource

  /// Opens the registry in `path`.
  /// - Parameters:
  ///   - create: whether to make an empty one where there is none.
  ///   - isEmbedded: whether it came with the program; then everything in it must be signed by a known key.
  ///   - address: where the folder is a copy of, if it was fetched from elsewhere.
  public init(
    path: String, create: Bool = false, isEmbedded: Bool = false, address: String? = nil
  ) throws(RegistryError) {
    self.path = path
    source = BundleSource(address ?? path, isEmbedded: isEmbedded)
    let layout = "\(path)/\(OCI.layoutFile)"
    if create, !Disk.exists(layout) {
      try Disk.makeDirectory("\(path)/blobs/sha256")
      if !Disk.exists("\(path)/\(OCI.indexFile)") { try writeIndex(OCI.Index()) }
      try Disk.write(OCI.encode(OCI.Layout()), to: layout)
    }
    guard Disk.exists(layout) else {
      throw RegistryError(
        .notFound, at: path, "There is no registry in this folder: \(OCI.layoutFile) is missing.",
        remedy: "Check the path; `codi publish` makes a registry.")
    }
    let version = try OCI.decode(OCI.Layout.self, Disk.read(layout), at: layout).imageLayoutVersion
    guard version == OCI.Layout().imageLayoutVersion else {
      throw RegistryError(
        .unsupported, at: layout, "The layout has version \(version), this program reads 1.0.0.", remedy: "Update codi."
      )
    }
  }

  /// Everything published, by name and version.
  public func list() throws(RegistryError) -> [Artifact] {
    var artifacts: [Artifact] = []
    for entry in try readIndex().manifests where entry.artifactType == OCI.bundleManifestType {
      artifacts.append(try artifact(entry))
    }
    return artifacts.sorted { ($0.name, $0.version) < ($1.name, $1.version) }
  }

  /// The newest artifact that `reference` admits, leaving out those for which `isYanked` holds.
  public func resolve(
    _ reference: Reference, isYanked: (_ bundle: String) -> Bool = { _ in false }
  ) throws(RegistryError) -> Artifact {
    var all = try list()
    // When nothing else is left, the yanked one is found and refused by name.
    let rest = all.filter { !isYanked($0.identity) }
    if rest.contains(where: { reference.names($0.name) && reference.requirement.admits($0.version) }) { all = rest }
    return try reference.pick(from: all, at: path, remedy: "`codi list --available` shows what there is.") {
      ($0.name, $0.version)
    }
  }

  /// The bundle's manifest, read from its own small blob.
  public func manifest(of artifact: Artifact) throws -> Manifest {
    let data = try read(artifact.manifest)
    let manifest = try Manifest(parsing: data, source: "\(artifact.name)@\(artifact.version)/\(BundleEntry.manifest)")
    guard manifest.name == artifact.name, manifest.version == artifact.version, manifest.kind == artifact.kind,
      manifest.coreDigest == artifact.coreDigest
    else {
      throw RegistryError(
        .corrupt, at: path,
        "\(artifact.name)@\(artifact.version) is published with the manifest of \(manifest.name)@\(manifest.version), "
          + "or another core.",
        remedy: "Tell the registry's owner.")
    }
    return manifest
  }

  /// A small blob, compared with its digest.
  func read(_ blob: Artifact.Blob) throws(RegistryError) -> Data {
    let path = try blobPath(blob.digest)
    let data = try Disk.read(path)
    try check(path, blob.digest, found: OCI.digest(of: data))
    guard data.count == blob.size else {
      throw RegistryError(
        .corrupt, at: path, "The blob has \(data.count) bytes, the document that names it says \(blob.size).",
        remedy: "Tell the registry's owner.")
    }
    return data
  }

  /// Copies the zip to `target`, comparing the copied bytes with the digest.
  public func fetch(_ artifact: Artifact, to target: String) throws(RegistryError) {
    let path = try blobPath(artifact.bundle.digest)
    do {
      let hex = try Disk.copy(path, to: target, atMost: artifact.bundle.size)
      try check(path, artifact.bundle.digest, found: "sha256:\(hex)")
    } catch {
      Disk.remove(target)
      throw error
    }
  }

  /// Publishes the bundle at `bundle` under the name and version of its manifest.
  ///
  /// Publishing the same bytes again changes nothing.
  /// - Throws: `conflict` when that version is known with other contents; `BundleError` for an unsound bundle.
  @discardableResult
  public func publish(_ bundle: String) throws -> Artifact {
    let reader = try BundleReader(path: bundle)
    try reader.verify()
    let manifest = reader.manifest
    let manifestData = try reader.archive.read(BundleEntry.manifest)
    guard let coreDigest = manifest.coreDigest else {
      throw RegistryError(.corrupt, at: bundle, "The manifest names no core.", remedy: "Pack it with `codi pack`.")
    }
    return try Disk.withLock(on: path) {
      let zip = try addBlob(copying: bundle)
      let config = try addBlob(manifestData)
      let image = OCI.Image(
        config: .init(mediaType: OCI.bundleManifestType, digest: config.digest, size: config.size),
        layers: [.init(mediaType: OCI.bundleType, digest: zip.digest, size: zip.size)],
        annotations: [
          OCI.Annotation.title: manifest.name, OCI.Annotation.version: manifest.version.description,
          OCI.Annotation.license: manifest.license, OCI.Annotation.summary: manifest.summary,
          OCI.Annotation.kind: manifest.kind.rawValue, OCI.Annotation.task: manifest.task,
          OCI.Annotation.coreDigest: coreDigest,
        ])
      let document = try OCI.encode(image)
      let entry = OCI.Descriptor(
        mediaType: OCI.manifestType, digest: OCI.digest(of: document), size: document.count,
        annotations: [OCI.Annotation.reference: "\(manifest.name):\(manifest.version)"],
        artifactType: OCI.bundleManifestType)
      var index = try readIndex()
      if let known = index.manifests.first(where: { $0.annotations == entry.annotations }) {
        guard known.digest == entry.digest else {
          throw RegistryError(
            .conflict, at: path,
            "\(manifest.name)@\(manifest.version) is published with digest \(known.digest); "
              + "this one has \(entry.digest).",
            remedy: "A published version never changes: raise the version in the manifest.")
        }
      } else {
        _ = try addBlob(document)
        index.manifests.append(entry)
        try writeSorted(&index)
      }
      return try artifact(entry)
    }
  }

  // MARK: Documents and blobs

  private func artifact(_ entry: OCI.Descriptor) throws(RegistryError) -> Artifact {
    let data = try read(Artifact.Blob(digest: entry.digest, size: entry.size))
    let image = try OCI.decode(OCI.Image.self, data, at: blobPath(entry.digest))
    let notes = image.annotations
    guard let name = notes[OCI.Annotation.title],
      let version = notes[OCI.Annotation.version].flatMap(SemanticVersion.init),
      entry.annotations?[OCI.Annotation.reference] == "\(name):\(version)",
      let kind = notes[OCI.Annotation.kind].flatMap(Manifest.Kind.init), let task = notes[OCI.Annotation.task],
      let license = notes[OCI.Annotation.license], let summary = notes[OCI.Annotation.summary],
      let coreDigest = notes[OCI.Annotation.coreDigest], image.config.mediaType == OCI.bundleManifestType,
      image.layers.count == 1, image.layers[0].mediaType == OCI.bundleType
    else {
      throw RegistryError(
        .corrupt, at: try blobPath(entry.digest),
        "The artifact \(entry.annotations?[OCI.Annotation.reference] ?? "without a name") lacks an annotation, "
          + "has other layers than one bundle, or another name than in \(OCI.indexFile).",
        remedy: "Publish it anew with `codi publish`.")
    }
    return Artifact(
      name: name, version: version, kind: kind, task: task, summary: summary, license: license, coreDigest: coreDigest,
      digest: entry.digest, manifest: .init(digest: image.config.digest, size: image.config.size),
      bundle: .init(digest: image.layers[0].digest, size: image.layers[0].size))
  }

  func readIndex() throws(RegistryError) -> OCI.Index {
    let file = "\(path)/\(OCI.indexFile)"
    return try OCI.decode(OCI.Index.self, Disk.read(file, atMost: 64 << 20), at: file)
  }

  func writeSorted(_ index: inout OCI.Index) throws(RegistryError) {
    index.manifests.sort {
      ($0.annotations?[OCI.Annotation.reference] ?? "", $0.digest)
        < ($1.annotations?[OCI.Annotation.reference] ?? "", $1.digest)
    }
    try writeIndex(index)
  }

  private func writeIndex(_ index: OCI.Index) throws(RegistryError) {
    try Disk.write(OCI.encode(index, pretty: true), to: "\(path)/\(OCI.indexFile)")
  }

  func blobPath(_ digest: String) throws(RegistryError) -> String {
    guard let hex = OCI.hex(digest) else {
      throw RegistryError(
        .corrupt, at: path, "\"\(digest)\" is not a SHA-256 digest.", remedy: "Tell the registry's owner.")
    }
    return "\(path)/blobs/sha256/\(hex)"
  }

  private func check(_ path: String, _ digest: String, found: String) throws(RegistryError) {
    guard found == digest else {
      throw RegistryError(
        .corrupt, at: path, "The blob's digest is \(found), it should be \(digest).",
        remedy: "Restore the registry from its source, or publish the bundle anew.")
    }
  }

  func addBlob(_ data: Data) throws(RegistryError) -> Artifact.Blob {
    let digest = OCI.digest(of: data)
    let target = try blobPath(digest)
    if (try? Disk.read(target)).map(OCI.digest) != digest { try Disk.write(data, to: target) }
    return Artifact.Blob(digest: digest, size: data.count)
  }

  private func addBlob(copying file: String) throws -> Artifact.Blob {
    let temporary = "\(path)/blobs/sha256/\(UInt64.random(in: .min ... .max)).tmp"
    defer { Disk.remove(temporary) }
    let digest = "sha256:" + (try Disk.copy(file, to: temporary))
    let size = try FileManager.default.attributesOfItem(atPath: temporary)[.size] as? Int
    try Disk.move(temporary, to: blobPath(digest))
    return Artifact.Blob(digest: digest, size: size ?? 0)
  }
}
