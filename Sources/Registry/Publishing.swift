internal import Bundles
internal import Foundation

/// What goes into a registry: one document and the blobs it names.
struct Publication {
  /// Where a blob's bytes come from.
  enum Source {
    case data(Data)
    case file(String)
    /// Makes a file with the blob's bytes, or goes on with one that it left.
    case fetched((_ target: String) throws -> Void)
  }

  let tag: Tag
  let type: String
  let document: Data
  let blobs: [(blob: Artifact.Blob, source: Source)]
}

extension BundleRegistry {
  /// Publishes the bundle at `bundle` under the name and version of its manifest.
  ///
  /// Publishing the same bytes again changes nothing.
  /// - Throws: `conflict` when that version is known with other contents; `BundleError` for an unsound bundle.
  @discardableResult
  public func publish(_ bundle: String) throws -> Artifact {
    let publication = try publication(of: bundle)
    try put(publication)
    guard let artifact = try artifact(publication.tag) else {
      throw RegistryError(
        .corrupt, at: path, "\(publication.tag.reference) was published, but is not shown.",
        remedy: "Tell the registry's owner.")
    }
    return artifact
  }

  /// Whether exactly this bundle is published here already.
  /// - Throws: as `publish`, and changes nothing.
  public func offers(_ bundle: String) throws -> Bool { try isKnown(publication(of: bundle)) }

  private func publication(of bundle: String) throws -> Publication {
    let reader = try BundleReader(path: bundle)
    try reader.verify()
    let manifest = reader.manifest
    let manifestData = try reader.archive.read(BundleEntry.manifest)
    guard let coreDigest = manifest.coreDigest else {
      throw RegistryError(.corrupt, at: bundle, "The manifest names no core.", remedy: "Pack it with `codi pack`.")
    }
    let config = Artifact.Blob(digest: OCI.digest(of: manifestData), size: manifestData.count)
    let zip = Artifact.Blob(
      digest: "sha256:" + (try SHA256.hex(ofFile: bundle)),
      size: FileSystem.status(URL(filePath: bundle).resolvingSymlinksInPath().path)?.size ?? 0)
    let image = OCI.Image(
      config: .init(mediaType: OCI.bundleManifestType, digest: config.digest, size: config.size),
      layers: [.init(mediaType: OCI.bundleType, digest: zip.digest, size: zip.size)],
      annotations: [
        OCI.Annotation.title: manifest.name, OCI.Annotation.version: manifest.version.description,
        OCI.Annotation.license: manifest.license, OCI.Annotation.summary: manifest.summary,
        OCI.Annotation.kind: manifest.kind.rawValue, OCI.Annotation.task: manifest.task,
        OCI.Annotation.coreDigest: coreDigest,
      ])
    return Publication(
      tag: Tag(manifest.name, manifest.version.description), type: OCI.bundleManifestType,
      document: try OCI.encode(image),
      blobs: [(config, .data(manifestData)), (zip, .file(bundle))])
  }

  /// Refuses another document under a known name, whatever the registry itself would allow.
  static func refuseChange(_ reference: String, from known: Data, to new: Data, at path: String) -> RegistryError {
    RegistryError(
      .conflict, at: path,
      "\(reference.replacing(":", with: "@")) is published with digest \(OCI.digest(of: known)); "
        + "this one has \(OCI.digest(of: new)).",
      remedy: "A published version never changes: raise the version in the manifest.")
  }

  /// Puts blobs, then their document, then its name into the registry; the same document again changes nothing.
  /// - Parameter replace: asked with the document that has the name now; throw to refuse.
  /// - Returns: whether anything changed.
  @discardableResult
  func put(_ publication: Publication, replace: ((_ known: Data) throws -> Void)? = nil) throws -> Bool {
    func isKnown() throws -> Bool { try self.isKnown(publication, replace: replace) }
    switch storage {
    case .web:
      if try isKnown() { return false }
      throw RegistryError(
        .unsupported, at: path, "A registry on a static web server is read only.",
        remedy: "Publish into the folder that it shows, or into an oci:// registry.")
    case .folder(let layout):
      return try Disk.withLock(on: path) {
        if try isKnown() { return false }
        for (blob, source) in publication.blobs {
          try layout.add(blob) { target in
            switch source {
            case .data(let data): try Disk.write(data, to: target)
            case .file(let file):
              Disk.remove(target)
              try OCI.check("sha256:\(Disk.copy(file, to: target, atMost: blob.size))", blob, at: file)
            case .fetched(let fetch): try fetch(target)
            }
          }
        }
        try layout.add(publication.document)
        try layout.enter(
          OCI.Descriptor(
            mediaType: OCI.manifestType, digest: OCI.digest(of: publication.document),
            size: publication.document.count, annotations: [OCI.Annotation.reference: publication.tag.reference],
            artifactType: publication.type))
        return true
      }
    case .remote(let registry):
      if try isKnown() { return false }
      for (blob, source) in publication.blobs { try send(blob, source, to: registry, publication.tag.repository) }
      // Somebody else may have been quicker; the registry itself would let the later one win.
      if try isKnown() { return false }
      try registry.put(publication.document, publication.tag.repository, publication.tag.name)
      return true
    }
  }

  /// Whether the very document has its name already; another one there is refused unless `replace` lets it pass.
  private func isKnown(
    _ publication: Publication, replace: ((_ known: Data) throws -> Void)? = nil
  ) throws -> Bool {
    guard let known = try storage.document(publication.tag, publication.type) else { return false }
    if known == publication.document { return true }
    guard let replace else {
      throw BundleRegistry.refuseChange(publication.tag.reference, from: known, to: publication.document, at: path)
    }
    try replace(known)
    return false
  }

  private func send(
    _ blob: Artifact.Blob, _ source: Publication.Source, to registry: OCIRegistry, _ repository: String
  ) throws {
    switch source {
    case .data(let data): try registry.add(data, blob.digest, in: repository)
    case .file(let file):
      try registry.add(Data(contentsOf: URL(filePath: file), options: .alwaysMapped), blob.digest, in: repository)
    case .fetched(let fetch):
      if try registry.has(blob.digest, in: repository) { return }
      let folder = FileManager.default.temporaryDirectory.appending(
        path: "codi-mirror-\(UInt64.random(in: 0 ... .max))")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
      defer { try? FileManager.default.removeItem(at: folder) }
      let file = folder.appending(path: "blob")
      try fetch(file.path)
      try registry.add(Data(contentsOf: file, options: .alwaysMapped), blob.digest, in: repository)
    }
  }
}
