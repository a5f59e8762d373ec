public import Bundles
internal import Foundation

/// Where bundles are published under `publisher/name`: a folder, the same on a static web server, or an OCI registry.
///
/// - One OCI manifest per bundle: `config` is the bundle's `manifest.yaml`
///   (`application/vnd.codi.manifest.v1+yaml`, also the artifact type), the only layer is the zip
///   (`application/vnd.codi.bundle.v1+zip`). Annotations: `org.opencontainers.image.title` (`publisher/name`),
///   `….version`, `….licenses`, `….description`, `org.codi.kind`, `org.codi.task`, `org.codi.core.digest`.
/// - In a layout's `index.json` the annotation `org.opencontainers.image.ref.name` is `publisher/name:version`; an OCI
///   registry has the tag `version` in the repository `publisher/name`. Artifacts of other types are other people's
///   and left alone.
///
/// Everything read is compared with its digest.
public struct BundleRegistry: Sendable {
  /// The folder, or the address.
  public let path: String
  /// How trust knows this registry.
  public let source: BundleSource
  let storage: Storage

  /// Opens the registry in a folder.
  /// - Parameters:
  ///   - create: whether to make an empty one where there is none.
  ///   - isEmbedded: whether it came with the program; then everything in it must be signed by a known key.
  ///   - address: where the folder is a copy of, if it was fetched from elsewhere.
  public init(
    path: String, create: Bool = false, isEmbedded: Bool = false, address: String? = nil
  ) throws(RegistryError) {
    self.path = path
    source = BundleSource(address ?? path, isEmbedded: isEmbedded)
    storage = .folder(try OCILayout(path: path, create: create))
  }

  /// Opens a registry anywhere; one elsewhere is not asked anything yet.
  /// - Parameter create: whether to make an empty one where a folder holds none.
  /// - Throws: `offline` for one elsewhere when the network is forbidden, `notFound` for a folder without registry.
  public init(_ address: RegistryAddress, _ network: Network, create: Bool = false) throws(RegistryError) {
    path = address.description
    source = BundleSource(path)
    storage =
      switch address {
      case .folder(let path): .folder(try OCILayout(path: path, create: create))
      case .web(let web): .web(try WebLayout(web, network))
      case .oci(let base, let prefix): .remote(try OCIRegistry(base: base, prefix: prefix, network))
      }
  }

  /// Everything published, by name and version.
  public func list() throws(RegistryError) -> [Artifact] { try artifacts(of: nil) }

  /// What is published under a name and version in full, or under a name.
  public func list(_ reference: String) throws(RegistryError) -> [Artifact] {
    let reference = try Reference(reference)
    return try artifacts(of: reference).filter { reference.requirement.admits($0.version) }
  }

  /// Every version that is published of what a reference names, oldest first.
  func artifacts(of reference: Reference?) throws(RegistryError) -> [Artifact] {
    var artifacts: [Artifact] = []
    for tag in try storage.tags(of: reference) {
      if let found = try artifact(tag) { artifacts.append(found) }
    }
    return artifacts.sorted { ($0.name, $0.version) < ($1.name, $1.version) }
  }

  /// The names `publisher/name` and versions that `reference` may mean, without asking for any document.
  func versions(of reference: Reference?) throws(RegistryError) -> [(name: String, version: SemanticVersion, tag: Tag)]
  {
    var versions: [(name: String, version: SemanticVersion, tag: Tag)] = []
    for tag in try storage.tags(of: reference) {
      guard let version = SemanticVersion(tag.name) else {
        // In an OCI registry anybody may add tags; a layout's index says that this is a bundle.
        if tag.entry == nil { continue }
        throw unsound(tag)
      }
      versions.append((tag.repository, version, tag))
    }
    return versions
  }

  /// The newest artifact of every name in which `word` occurs, or in its task or summary.
  public func search(_ word: String) throws(RegistryError) -> [Artifact] {
    var newest: [String: (version: SemanticVersion, tag: Tag)] = [:]
    for (name, version, tag) in try versions(of: nil) {
      if let known = newest[name], known.version > version { continue }
      newest[name] = (version, tag)
    }
    var found: [Artifact] = []
    for (_, newest) in newest.sorted(by: { $0.key < $1.key }) {
      guard let artifact = try artifact(newest.tag) else { continue }
      let texts = [artifact.name, artifact.task, artifact.summary]
      if word.isEmpty || texts.contains(where: { $0.localizedCaseInsensitiveContains(word) }) { found.append(artifact) }
    }
    return found
  }

  /// The newest artifact that `reference` admits, leaving out those for which `isYanked` holds.
  public func resolve(
    _ reference: Reference, isYanked: (_ bundle: String) -> Bool = { _ in false }
  ) throws(RegistryError) -> Artifact {
    var all = try versions(of: reference)
    // What else there is belongs into the error; a registry need not tell.
    if all.isEmpty { all = try isElsewhere ? (try? versions(of: nil)) ?? [] : versions(of: nil) }
    // When nothing else is left, the yanked one is found and refused by name.
    let rest = all.filter { !isYanked("\($0.name)@\($0.version)") }
    if rest.contains(where: { reference.names($0.name) && reference.requirement.admits($0.version) }) { all = rest }
    let picked = try reference.pick(from: all, at: path, remedy: "`codi list --available` shows what there is.") {
      ($0.name, $0.version)
    }
    guard let artifact = try artifact(picked.tag) else {
      throw RegistryError(
        .notFound, at: path, "\(picked.tag.reference) is there, but not a bundle.",
        remedy: "`codi list --available` shows what there is.")
    }
    return artifact
  }

  /// The bundle's manifest, read from its own small blob.
  public func manifest(of artifact: Artifact) throws -> Manifest {
    let data = try storage.read(artifact.manifest, in: artifact.name)
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

  /// Puts the zip at `target`, comparing its bytes with the digest.
  ///
  /// What comes from elsewhere is not synced: whoever keeps the file does that.
  /// - Parameter partials: a folder for what an interrupted download leaves, for the next time.
  public func fetch(_ artifact: Artifact, to target: String, partials: String? = nil) throws(RegistryError) {
    try storage.fetch(artifact.bundle, in: artifact.name, to: target, partials: partials)
  }

  /// Puts any blob of a repository into the file at `target`.
  public func fetch(_ blob: Artifact.Blob, of repository: String, to target: String) throws(RegistryError) {
    try storage.fetch(blob, in: repository, to: target)
  }

  var isElsewhere: Bool { if case .folder = storage { false } else { true } }

  /// What a tag shows; nil in an OCI registry when that is no bundle.
  func artifact(_ tag: Tag) throws(RegistryError) -> Artifact? {
    guard let data = try storage.document(tag) else { return nil }
    let image = try OCI.decode(OCI.Image.self, data, at: "\(path), \(tag.reference)")
    let notes = image.annotations
    guard let name = notes[OCI.Annotation.title],
      let version = notes[OCI.Annotation.version].flatMap(SemanticVersion.init),
      tag.reference == "\(name):\(version)",
      let kind = notes[OCI.Annotation.kind].flatMap(Manifest.Kind.init), let task = notes[OCI.Annotation.task],
      let license = notes[OCI.Annotation.license], let summary = notes[OCI.Annotation.summary],
      let coreDigest = notes[OCI.Annotation.coreDigest], image.config.mediaType == OCI.bundleManifestType,
      image.layers.count == 1, image.layers[0].mediaType == OCI.bundleType
    else { throw unsound(tag) }
    return Artifact(
      name: name, version: version, kind: kind, task: task, summary: summary, license: license, coreDigest: coreDigest,
      digest: OCI.digest(of: data), manifest: image.config.blob, bundle: image.layers[0].blob)
  }

  private func unsound(_ tag: Tag) -> RegistryError {
    RegistryError(
      .corrupt, at: path,
      "The artifact \(tag.reference) lacks an annotation, has other layers than one bundle, or another name inside.",
      remedy: "Publish it anew with `codi publish`.")
  }
}
