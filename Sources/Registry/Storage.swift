internal import Bundles
internal import Foundation

/// A name under which a registry shows a document.
struct Tag: Sendable, Hashable {
  /// `publisher/name` of a bundle; `publisher` of statements.
  let repository: String
  /// The version of a bundle; `statements`.
  let name: String
  /// What a layout's index says; an OCI registry says nothing before it is asked for the document.
  let entry: OCI.Descriptor?

  static let statements = "statements"

  /// As in a layout's index.
  var reference: String { "\(repository):\(name)" }

  init(_ repository: String, _ name: String, _ entry: OCI.Descriptor? = nil) {
    self.repository = repository
    self.name = name
    self.entry = entry
  }
}

/// The three kinds of registries, as far as they differ: how names, documents and blobs are read.
enum Storage: Sendable {
  case folder(OCILayout)
  case web(WebLayout)
  case remote(OCIRegistry)

  /// The bundles that `reference` may mean, whatever their version; all of them for nil.
  func tags(of reference: Reference?) throws(RegistryError) -> [Tag] {
    switch self {
    case .folder(let layout): return try Storage.tags(in: layout.readIndex(), of: reference, at: layout.path)
    case .web(let layout): return try Storage.tags(in: layout.readIndex(), of: reference, at: "\(OCI.indexFile)")
    case .remote(let registry):
      let repositories =
        if let reference, reference.publisher != nil { [reference.fullName] } else {
          try registry.repositories().filter { $0.contains("/") && reference?.names($0) ?? true }
        }
      var tags: [Tag] = []
      for repository in repositories { tags += try registry.tags(repository).map { Tag(repository, $0) } }
      return tags
    }
  }

  private static func tags(
    in index: OCI.Index, of reference: Reference?, at path: String
  ) throws(RegistryError) -> [Tag] {
    var tags: [Tag] = []
    for entry in index.manifests where entry.artifactType == OCI.bundleManifestType {
      let parts = entry.annotations?[OCI.Annotation.reference]?.split(separator: ":", omittingEmptySubsequences: false)
      guard let parts, parts.count == 2 else {
        throw RegistryError(
          .corrupt, at: path, "The artifact \(entry.digest) has no name in \(OCI.indexFile).",
          remedy: "Publish it anew with `codi publish`.")
      }
      let repository = String(parts[0])
      if reference?.names(repository) ?? true { tags.append(Tag(repository, String(parts[1]), entry)) }
    }
    return tags
  }

  /// The publishers that may have bundles or statements here.
  func publishers() throws(RegistryError) -> [String] {
    let names: [String]
    switch self {
    case .folder(let layout): names = try layout.readIndex().references
    case .web(let layout): names = try layout.readIndex().references
    case .remote(let registry): names = try registry.repositories()
    }
    return Set(names.map { String($0.prefix { $0 != "/" && $0 != ":" }) }).sorted()
  }

  /// The document of a bundle, byte for byte, compared with its digest where that is known.
  func document(_ tag: Tag) throws(RegistryError) -> Data? {
    try document(tag, OCI.bundleManifestType)
  }

  /// The document of what `publisher` states here; nil when nothing.
  func statements(of publisher: String) throws(RegistryError) -> Data? {
    try document(Tag(publisher, Tag.statements), OCI.statementsType)
  }

  func document(_ tag: Tag, _ type: String) throws(RegistryError) -> Data? {
    switch self {
    case .folder(let layout):
      guard let entry = try entry(tag, type, layout.readIndex) else { return nil }
      return try layout.read(entry.blob)
    case .web(let layout):
      guard let entry = try entry(tag, type, layout.readIndex) else { return nil }
      return try layout.read(entry.blob)
    case .remote(let registry):
      // A tag of another kind is somebody else's.
      guard let data = try registry.document(tag.repository, tag.name),
        try OCI.decode(OCI.Kind.self, data, at: tag.reference).artifactType == type
      else { return nil }
      return data
    }
  }

  private func entry(
    _ tag: Tag, _ type: String, _ index: () throws(RegistryError) -> OCI.Index
  ) throws(RegistryError) -> OCI.Descriptor? {
    if let entry = tag.entry { return entry }
    return try index().entry(tag.reference, type)
  }

  /// A small blob, compared with its digest.
  func read(_ blob: Artifact.Blob, in repository: String) throws(RegistryError) -> Data {
    switch self {
    case .folder(let layout): try layout.read(blob)
    case .web(let layout): try layout.read(blob)
    case .remote(let registry): try registry.read(blob, in: repository)
    }
  }

  /// How long a blob is, as the registry says without sending it; nil when it does not say.
  /// - Throws: `notFound` where there is no such blob.
  func length(_ blob: Artifact.Blob, in repository: String) throws(RegistryError) -> Int? {
    switch self {
    case .folder(let layout):
      let path = try layout.blobPath(blob.digest)
      guard let status = FileSystem.status(path) else {
        throw RegistryError(.notFound, at: path, "The blob is missing.", remedy: "Publish the bundle anew.")
      }
      return status.size
    case .web(let layout): return try layout.length(blob)
    case .remote(let registry): return try registry.length(blob, in: repository)
    }
  }

  /// Puts a blob into the file at `target`, which exists only when the bytes have their digest.
  /// - Parameter partials: a folder for what an interrupted download leaves; beside `target` when nil.
  func fetch(
    _ blob: Artifact.Blob, in repository: String, to target: String, partials: String? = nil
  ) throws(RegistryError) {
    if case .folder(let layout) = self {
      if Disk.exists(target) { Disk.remove(target) }
      do { try layout.fetch(blob, to: target) } catch {
        Disk.remove(target)
        throw error
      }
      return
    }
    guard let hex = OCI.hex(blob.digest) else { throw OCI.noDigest(blob.digest, at: target) }
    if let partials { try Disk.makeDirectory(partials) }
    let part = partials.map { "\($0)/\(hex).part" } ?? "\(target).part"
    switch self {
    case .folder: break
    case .web(let layout): try layout.fetch(blob, to: part)
    case .remote(let registry): try registry.fetch(blob, in: repository, to: part)
    }
    try Disk.rename(part, to: target)
  }
}

extension OCI {
  /// What kind of artifact a document describes, whatever else it holds.
  struct Kind: Decodable {
    var artifactType: String?
  }
}

extension OCI.Index {
  /// The names under which bundles and statements are shown.
  var references: [String] {
    manifests.filter { [OCI.bundleManifestType, OCI.statementsType].contains($0.artifactType) }
      .compactMap { $0.annotations?[OCI.Annotation.reference] }
  }
}
