internal import Foundation
internal import Synchronization

/// An image layout that a static web server shows: read only.
final class WebLayout: Sendable {
  private let base: RegistryAddress.Web
  private let client: HTTPClient
  /// Whether `oci-layout` was there and of a version that is read.
  private let isChecked = Mutex(false)

  init(_ base: RegistryAddress.Web, _ network: Network) throws(RegistryError) {
    self.base = base
    client = try HTTPClient(base.origin, network)
  }

  func readIndex() throws(RegistryError) -> OCI.Index {
    if !isChecked.withLock({ $0 }) {
      try OCI.checkLayout(get(OCI.layoutFile, limit: 64 << 10), at: "\(base)/\(OCI.layoutFile)")
      isChecked.withLock { $0 = true }
    }
    return try OCI.decode(OCI.Index.self, get(OCI.indexFile, limit: 64 << 20), at: "\(base)/\(OCI.indexFile)")
  }

  /// A small blob, compared with its digest.
  func read(_ blob: Artifact.Blob) throws(RegistryError) -> Data {
    let name = try name(blob)
    let data = try get(name, limit: OCI.documentLimit)
    try OCI.check(data, blob, at: "\(base)/\(name)")
    return data
  }

  /// Collects a blob in the file at `path`.
  func fetch(_ blob: Artifact.Blob, to path: String) throws(RegistryError) {
    try Download(blob: blob, url: "\(base)/\(name(blob))", scope: "", path: path).run(client)
  }

  /// How long a blob is, as the server says; nil when it says nothing about the length.
  /// - Throws: `notFound` where there is no such file.
  func length(_ blob: Artifact.Blob) throws(RegistryError) -> Int? {
    let url = "\(base)/\(try name(blob))"
    let response = try client.send { HTTPRequest(method: "HEAD", url: url) }
    switch response.status {
    case 200: return response.length
    case 404, 410:
      throw RegistryError(.notFound, at: url, "The blob is missing.", remedy: "Publish the bundle anew.")
    default: throw client.error(url, "It answers with \(HTTPClient.words(response)).")
    }
  }

  private func name(_ blob: Artifact.Blob) throws(RegistryError) -> String {
    guard let hex = OCI.hex(blob.digest) else { throw OCI.noDigest(blob.digest, at: base.description) }
    return "blobs/sha256/\(hex)"
  }

  private func get(_ name: String, limit: Int) throws(RegistryError) -> Data {
    let response = try client.send(limit: limit) { HTTPRequest(url: "\(base)/\(name)") }
    switch response.status {
    case 200: return response.body
    case 404, 410:
      throw RegistryError(
        .notFound, at: "\(base)/\(name)", "There is no registry at this address, or a part of it is missing.",
        remedy: "Check the address; it is where \(OCI.layoutFile) lies.")
    default: throw client.error("\(base)/\(name)", "It answers with \(HTTPClient.words(response)).")
    }
  }
}
