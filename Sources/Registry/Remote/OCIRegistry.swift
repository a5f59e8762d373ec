internal import Foundation

/// A registry that speaks the OCI distribution protocol (distribution-spec 1.1).
///
/// A bundle `publisher/name@version` is the tag `version` of the repository `prefix/publisher/name`; what a publisher
/// states is the tag `statements` of `prefix/publisher`.
final class OCIRegistry: Sendable {
  let address: String
  let client: HTTPClient
  private let base: RegistryAddress.Web
  private let prefix: String

  init(base: RegistryAddress.Web, prefix: String, _ network: Network) throws(RegistryError) {
    self.base = base
    self.prefix = prefix
    address = RegistryAddress.oci(base: base, prefix: prefix).description
    client = try HTTPClient(base.origin, network)
  }

  /// The address of something in a repository.
  func url(_ repository: String, _ rest: String) -> String {
    "\(base)/v2/\(prefix.isEmpty ? "" : "\(prefix)/")\(repository)/\(rest)"
  }

  // MARK: Names

  /// Every `publisher/name`, and every `publisher` that states something, below the prefix.
  /// - Throws: `unsupported` where the registry keeps its catalogue to itself.
  func repositories() throws(RegistryError) -> [String] {
    let start = prefix.isEmpty ? "" : "\(prefix)/"
    struct Page: Decodable { var repositories: [String]? }
    var names: [String] = []
    do {
      try pages("\(base)/v2/_catalog?n=1000", scope: "catalog") { (data, url) throws(RegistryError) in
        names += try OCI.decode(Page.self, data, at: url).repositories ?? []
      }
    } catch  where [.notFound, .unauthorized].contains(error.code) {
      throw RegistryError(
        .unsupported, at: address, "This registry does not say what it holds (\(error.reason))",
        remedy: "Name a bundle with its publisher, like codi/super-resolution.")
    }
    return names.filter { $0.hasPrefix(start) }.map { String($0.dropFirst(start.count)) }
      .filter { name in
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count <= 2 && parts.allSatisfy(RegistryAddress.isComponent)
      }.sorted()
  }

  /// The tags of a repository; none where there is no such repository.
  func tags(_ repository: String) throws(RegistryError) -> [String] {
    struct Page: Decodable { var tags: [String]? }
    var tags: [String] = []
    do {
      try pages(url(repository, "tags/list?n=1000"), scope: "pull \(repository)") { (data, url) throws(RegistryError) in
        tags += try OCI.decode(Page.self, data, at: url).tags ?? []
      }
    } catch  where error.code == .notFound {
      return []
    }
    return tags
  }

  /// Follows the links of a list; at most a thousand pages and a million bytes each.
  private func pages(
    _ first: String, scope: String, _ body: (Data, _ url: String) throws(RegistryError) -> Void
  ) throws(RegistryError) {
    var next: String? = first
    for _ in 0..<1000 {
      guard let url = next else { return }
      let response = try client.send(limit: 1 << 20) { HTTPRequest(url: url, scope: scope) }
      guard response.status == 200 else { throw answer(response, url) }
      try body(response.body, url)
      next = try response["link"].flatMap { $0.firstMatch(of: /<([^>]+)>; *rel="?next"?/) }
        .map { (match) throws(RegistryError) in try own(String(match.1), from: url) }
    }
    throw client.error(first, "The list has more than a thousand pages.")
  }

  // MARK: Documents and blobs

  /// The image manifest under a tag, byte for byte; nil where there is none.
  func document(_ repository: String, _ tag: String) throws(RegistryError) -> Data? {
    let url = url(repository, "manifests/\(tag)")
    let response = try client.send(limit: OCI.documentLimit) {
      HTTPRequest(url: url, headers: [("Accept", OCI.manifestType)], scope: "pull \(repository)")
    }
    switch response.status {
    case 200:
      if let said = response["docker-content-digest"], OCI.hex(said) != nil, said != OCI.digest(of: response.body) {
        throw RegistryError(
          .corrupt, at: url, "The document's digest is \(OCI.digest(of: response.body)), the registry says \(said).",
          remedy: "Tell the registry's owner.")
      }
      return response.body
    case 404: return nil
    default: throw answer(response, url)
    }
  }

  /// A small blob, compared with its digest.
  func read(_ blob: Artifact.Blob, in repository: String) throws(RegistryError) -> Data {
    let url = try blobURL(blob.digest, repository)
    let response = try client.send(limit: OCI.documentLimit) {
      HTTPRequest(url: url, scope: "pull \(repository)")
    }
    guard response.status == 200 else { throw answer(response, url) }
    try OCI.check(response.body, blob, at: url)
    return response.body
  }

  /// Collects a blob in the file at `path`.
  func fetch(_ blob: Artifact.Blob, in repository: String, to path: String) throws(RegistryError) {
    try Download(blob: blob, url: blobURL(blob.digest, repository), scope: "pull \(repository)", path: path).run(client)
  }

  /// How long a blob is, as the registry says; nil when it says nothing about the length.
  /// - Throws: `notFound` where there is no such blob.
  func length(_ blob: Artifact.Blob, in repository: String) throws(RegistryError) -> Int? {
    let url = try blobURL(blob.digest, repository)
    let response = try client.send { HTTPRequest(method: "HEAD", url: url, scope: "pull \(repository)") }
    guard response.status == 200 else { throw answer(response, url) }
    return response.length
  }

  /// Puts a document under a tag.
  func put(_ document: Data, _ repository: String, _ tag: String) throws(RegistryError) {
    let url = url(repository, "manifests/\(tag)")
    let response = try client.send {
      HTTPRequest(
        method: "PUT", url: url, headers: [("Content-Type", OCI.manifestType)], body: document,
        scope: "push \(repository)")
    }
    guard response.status == 201 else { throw answer(response, url) }
    if let said = response["docker-content-digest"], said != OCI.digest(of: document) {
      throw RegistryError(
        .corrupt, at: url, "The registry stored \(said) instead of \(OCI.digest(of: document)).",
        remedy: "Tell the registry's owner.")
    }
  }

  func blobURL(_ digest: String, _ repository: String) throws(RegistryError) -> String {
    guard OCI.hex(digest) != nil else { throw OCI.noDigest(digest, at: address) }
    return url(repository, "blobs/\(digest)")
  }

  // MARK: Answers

  /// An address that the registry names, which must be its own.
  func own(_ location: String, from url: String) throws(RegistryError) -> String {
    guard let resolved = URL(string: location, relativeTo: URL(string: url))?.absoluteString,
      Origin(resolved) == client.origin
    else { throw client.error(url, "It refers to \(location.debugDescription), which is not this registry.") }
    return resolved
  }

  func answer(_ response: HTTPResponse, _ url: String) -> RegistryError {
    guard response.status == 404 else { return client.error(url, "It answers with \(HTTPClient.words(response)).") }
    return RegistryError(
      .notFound, at: url, "The registry has nothing there: \(HTTPClient.words(response)).",
      remedy: "Check the address of the registry.")
  }
}
