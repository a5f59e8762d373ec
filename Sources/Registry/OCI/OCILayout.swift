internal import Bundles
internal import Foundation
internal import Glibc

/// An OCI image layout (image-spec 1.1) in a folder: `oci-layout`, `index.json`, `blobs/sha256/<hex>`.
///
/// Everything read is compared with its digest. JSON has sorted keys, so equal contents give equal bytes.
struct OCILayout: Sendable {
  let path: String
  var blobs: String { "\(path)/blobs/sha256" }

  /// - Parameter create: whether to make an empty one where there is none.
  init(path: String, create: Bool) throws(RegistryError) {
    self.path = path
    let layout = "\(path)/\(OCI.layoutFile)"
    if create, !Disk.exists(layout) {
      try Disk.makeDirectory(blobs)
      if !Disk.exists("\(path)/\(OCI.indexFile)") { try writeIndex(OCI.Index()) }
      try Disk.write(OCI.encode(OCI.Layout()), to: layout)
    }
    guard Disk.exists(layout) else {
      throw RegistryError(
        .notFound, at: path, "There is no registry in this folder: \(OCI.layoutFile) is missing.",
        remedy: "Check the path; `codi publish` makes a registry.")
    }
    try OCI.checkLayout(Disk.read(layout), at: layout)
  }

  func readIndex() throws(RegistryError) -> OCI.Index {
    let file = "\(path)/\(OCI.indexFile)"
    return try OCI.decode(OCI.Index.self, Disk.read(file, atMost: 64 << 20), at: file)
  }

  /// Puts `entry` in the place of the one of the same type and reference.
  func enter(_ entry: OCI.Descriptor) throws(RegistryError) {
    var index = try readIndex()
    let reference = entry.annotations?[OCI.Annotation.reference] ?? ""
    index.manifests.removeAll {
      $0.artifactType == entry.artifactType && $0.annotations?[OCI.Annotation.reference] == reference
    }
    index.manifests.append(entry)
    index.manifests.sort {
      ($0.annotations?[OCI.Annotation.reference] ?? "", $0.digest)
        < ($1.annotations?[OCI.Annotation.reference] ?? "", $1.digest)
    }
    try writeIndex(index)
  }

  private func writeIndex(_ index: OCI.Index) throws(RegistryError) {
    try Disk.write(OCI.encode(index, pretty: true), to: "\(path)/\(OCI.indexFile)")
  }

  // MARK: Blobs

  func blobPath(_ digest: String) throws(RegistryError) -> String {
    guard let hex = OCI.hex(digest) else { throw OCI.noDigest(digest, at: path) }
    return "\(blobs)/\(hex)"
  }

  /// A small blob.
  func read(_ blob: Artifact.Blob) throws(RegistryError) -> Data {
    let path = try blobPath(blob.digest)
    let data = try Disk.read(path)
    try OCI.check(data, blob, at: path)
    return data
  }

  /// Copies a blob to `target`, comparing the copied bytes with the digest.
  func fetch(_ blob: Artifact.Blob, to target: String) throws(RegistryError) {
    let path = try blobPath(blob.digest)
    try OCI.check("sha256:\(Disk.copy(path, to: target, atMost: blob.size))", blob, at: path)
  }

  /// Whether a blob is there and sound.
  func has(_ blob: Artifact.Blob) -> Bool {
    guard let path = try? blobPath(blob.digest), let hex = try? SHA256.hex(ofFile: path) else { return false }
    return "sha256:\(hex)" == blob.digest
  }

  /// Adds a blob unless it is there; `write` makes a file with its bytes, durable or not.
  ///
  /// What an interrupted `write` leaves stays for the next time.
  func add(_ blob: Artifact.Blob, _ write: (_ target: String) throws -> Void) throws {
    let target = try blobPath(blob.digest)
    if has(blob) { return }
    try write("\(target).part")
    let file = open("\(target).part", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw Disk.error("cannot be opened", "\(target).part") }
    defer { close(file) }
    guard FileSystem.sync(file, path: "\(target).part") == 0 else {
      throw Disk.error("cannot be written", "\(target).part")
    }
    try Disk.move("\(target).part", to: target)
  }

  func add(_ data: Data) throws(RegistryError) {
    let blob = Artifact.Blob(digest: OCI.digest(of: data), size: data.count)
    if !has(blob) { try Disk.write(data, to: blobPath(blob.digest)) }
  }
}
