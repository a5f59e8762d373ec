internal import Bundles
internal import Foundation

/// What is wrong in a registry, or only useless.
public struct Finding: Sendable, Hashable {
  public enum Kind: String, Sendable {
    /// A document or blob is missing, has other bytes than its digest says, or contradicts another.
    case fault
    /// A blob that nothing names, or what an interrupted change left.
    case dangling
  }

  public let kind: Kind
  /// `publisher/name@version`, or a file.
  public let place: String
  public let reason: String
}

/// What a whole registry looks like.
public struct RegistryReport: Sendable {
  /// Bundles and statements that were looked at.
  public internal(set) var artifacts = 0
  /// Blobs whose bytes were compared with their digest, and their sum.
  public internal(set) var blobs = 0
  public internal(set) var bytes = 0
  /// Bundles of which only the presence and the size were asked for, and their sum.
  public internal(set) var unread = 0
  public internal(set) var unreadBytes = 0
  public internal(set) var findings: [Finding] = []
  public var isSound: Bool { !findings.contains { $0.kind == .fault } }
}

extension BundleRegistry {
  /// Compares every document and blob that the registry names with its digest, and looks for blobs that nobody names.
  ///
  /// Whether one elsewhere has blobs that nobody names is its own affair. One fault does not hide the next.
  /// - Parameter isDeep: reads the bundles too, so downloads a registry elsewhere as a whole. Otherwise that one is only
  ///   asked whether it has each bundle, and of what size; documents, manifests and statements are always read, and a
  ///   folder always is as a whole.
  public func check(isDeep: Bool = true) throws -> RegistryReport {
    var report = RegistryReport()
    var known: Set<String> = []
    let scratch = FileManager.default.temporaryDirectory.appending(path: "codi-check-\(UInt64.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: scratch) }

    func attempt(_ place: String, _ body: () throws -> Void) throws {
      do { try body() } catch let error as RegistryError where [.stopped, .network].contains(error.code) {
        throw error
      } catch {
        report.findings.append(Finding(kind: .fault, place: place, reason: "\(error)"))
      }
    }
    func check(_ blob: Artifact.Blob, in repository: String, _ place: String, isBundle: Bool = false) throws {
      func wrongSize(_ size: Int) -> RegistryError {
        RegistryError(
          .corrupt, at: place, "\(blob.digest) has \(size) bytes, \(blob.size) were announced.",
          remedy: "Publish it anew.")
      }
      // A blob that several name is looked at once; the size that each says is compared by each.
      guard known.insert("\(blob.digest) \(blob.size)").inserted else { return }
      if isBundle, !isDeep, isElsewhere {
        if let length = try storage.length(blob, in: repository), length != blob.size { throw wrongSize(length) }
        report.unread += 1
        report.unreadBytes += blob.size
        return
      }
      let file = scratch.appending(path: "\(known.count)").path
      defer { for path in [file, "\(file).part"] { Disk.remove(path) } }
      try storage.fetch(blob, in: repository, to: file)
      let size = FileSystem.status(file)?.size ?? 0
      guard size == blob.size else { throw wrongSize(size) }
      report.blobs += 1
      report.bytes += size
    }

    for tag in try storage.tags(of: nil) {
      try attempt(tag.reference) {
        guard let artifact = try artifact(tag) else { return }
        report.artifacts += 1
        known.insert("\(artifact.digest) \(tag.entry?.size ?? 0)")
        try attempt(artifact.identity) {
          try check(artifact.bundle, in: artifact.name, artifact.identity, isBundle: true)
        }
        try check(artifact.manifest, in: artifact.name, artifact.identity)
        _ = try manifest(of: artifact)
      }
    }
    for publisher in try storage.publishers() {
      try attempt("statements of \(publisher)") {
        guard let data = try storage.statements(of: publisher) else { return }
        report.artifacts += 1
        known.insert("\(OCI.digest(of: data)) \(data.count)")
        let image = try OCI.decode(OCI.Image.self, data, at: "statements of \(publisher)")
        for part in [image.config] + image.layers { try check(part.blob, in: publisher, "statements of \(publisher)") }
        _ = try statements(of: publisher)
      }
    }
    if case .folder(let layout) = storage { try report.findings += dangling(in: layout) }
    return report
  }

  /// Files among the blobs that no document of the index leads to.
  private func dangling(in layout: OCILayout) throws(RegistryError) -> [Finding] {
    var named: Set<String> = []
    var waiting = try layout.readIndex().manifests.map(\.blob)
    while let blob = waiting.popLast() {
      guard named.insert(blob.digest).inserted, blob.size <= OCI.documentLimit, let data = try? layout.read(blob)
      else { continue }
      // Other people's documents too, and indices of documents: whatever they name is not dangling.
      waiting += OCI.references(in: data)
    }
    let names = Set(named.compactMap(OCI.hex))
    return Disk.contents(layout.blobs).filter { !names.contains($0) }.map {
      Finding(kind: .dangling, place: "\(layout.blobs)/\($0)", reason: "No artifact of the registry needs this file.")
    }
  }
}

extension OCI {
  /// The blobs that a document names; none for what is no document.
  static func references(in data: Data) -> [Artifact.Blob] {
    struct Named: Decodable {
      var config: Descriptor?
      var layers: [Descriptor]?
      var manifests: [Descriptor]?
    }
    guard data.first == UInt8(ascii: "{"), let named = try? JSONDecoder().decode(Named.self, from: data) else {
      return []
    }
    return ([named.config].compactMap { $0 } + (named.layers ?? []) + (named.manifests ?? [])).map(\.blob)
  }
}
