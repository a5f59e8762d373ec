internal import Foundation

/// Blobs on their way to an OCI registry, part by part.
extension OCIRegistry {
  /// Sends the bytes unless the registry has them.
  /// - Parameter data: of the blob; a mapped file is not loaded.
  /// - Returns: whether anything was sent.
  @discardableResult
  func add(_ data: Data, _ digest: String, in repository: String) throws(RegistryError) -> Bool {
    guard try !has(digest, in: repository) else { return false }
    let scope = "push \(repository)"
    var (sent, location) = (0, try start(in: repository))
    var (most, failures) = (0, 0)
    while sent < data.count {
      let before = sent
      if let next = try send(data, from: sent, to: location, scope) {
        (sent, location) = next
      } else {
        (sent, location) = (0, try start(in: repository))
      }
      if sent > most { (most, failures) = (sent, 0) }
      if sent > before { continue }
      failures += 1
      guard failures < client.network.attempts else {
        throw client.error(location, "The registry takes no more than \(most) bytes; tried \(failures) times.")
      }
      try client.pause(after: failures, "A part was not taken", location)
    }
    let last = location + (location.contains("?") ? "&" : "?") + "digest=\(digest)"
    let closed = try client.send {
      HTTPRequest(
        method: "PUT", url: last, headers: [("Content-Type", "application/octet-stream")], body: Data(), scope: scope)
    }
    // An upload that was closed by an attempt whose answer was lost is not known any more.
    if closed.status == 404, try has(digest, in: repository) { return true }
    guard closed.status == 201 || closed.status == 204 else { throw answer(closed, last) }
    return true
  }

  /// Begins an upload.
  /// - Returns: where its first part goes.
  private func start(in repository: String) throws(RegistryError) -> String {
    let url = url(repository, "blobs/uploads/")
    let opened = try client.send { HTTPRequest(method: "POST", url: url, body: Data(), scope: "push \(repository)") }
    guard opened.status == 202, let place = opened["location"] else { throw answer(opened, url) }
    return try own(place, from: url)
  }

  /// Whether the registry has a blob in this repository.
  func has(_ digest: String, in repository: String) throws(RegistryError) -> Bool {
    let url = try blobURL(digest, repository)
    let response = try client.send { HTTPRequest(method: "HEAD", url: url, scope: "pull \(repository)") }
    switch response.status {
    case 200: return true
    case 404: return false
    default: throw answer(response, url)
    }
  }

  /// Sends one part. It is not simply sent again: a registry may have kept a piece of it, so it is asked first.
  /// - Returns: how many bytes the registry has now, and where the next part goes; nil when it has lost the thread, as
  ///   docker-registry does with a part that it kept and could not confirm.
  private func send(
    _ data: Data, from sent: Int, to location: String, _ scope: String
  ) throws(RegistryError) -> (sent: Int, location: String)? {
    let end = min(sent + client.network.chunk, data.count)
    let part = data[data.startIndex + sent..<data.startIndex + end]
    let headers = [("Content-Type", "application/octet-stream"), ("Content-Range", "\(sent)-\(end - 1)")]
    do throws(RegistryError) {
      let response = try client.send(attempts: 1) {
        HTTPRequest(method: "PATCH", url: location, headers: headers, body: part, scope: scope)
      }
      if response.status == 202 { return (end, try following(response, location)) }
      guard response.status == 416 || response.status == 404 else { throw answer(response, location) }
    } catch {
      guard error.code == .network else { throw error }
    }
    let asked = try client.send { HTTPRequest(url: location, scope: scope) }
    guard asked.status == 204, let range = asked["range"]?.wholeMatch(of: /(?:bytes=)?0-([0-9]+)/),
      let last = Int(range.1)
    else { return nil }
    // The last byte's place; docker-registry says 0-0 for nothing as well, and parts are longer than a byte.
    let there = last == 0 ? 0 : last + 1
    guard there >= sent, there <= end else { return nil }
    return (there, try following(asked, location))
  }

  /// Where the upload goes on after an answer.
  private func following(_ response: HTTPResponse, _ location: String) throws(RegistryError) -> String {
    guard let next = response["location"] else { return location }
    return try own(next, from: location)
  }
}
