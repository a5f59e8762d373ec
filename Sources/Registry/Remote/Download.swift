internal import Bundles
internal import Foundation
internal import Glibc

/// One blob on its way into a file; what an interrupted attempt left is continued.
struct Download {
  let blob: Artifact.Blob
  let url: String
  /// For the token: see `HTTPRequest`.
  let scope: String
  /// Where the bytes are collected; whole and verified when `run` returns.
  let path: String

  /// Not synced: who keeps the file does that.
  /// - Throws: `corrupt` when the bytes are not those of the digest, with nothing left; `network` or `stopped` with the
  ///   bytes so far left for the next time.
  func run(_ client: HTTPClient) throws(RegistryError) {
    guard let hex = OCI.hex(blob.digest), blob.size >= 0 else {
      throw refuse("\(blob.digest) with \(blob.size) bytes is nothing that can be fetched.")
    }
    let old = try size()
    if old > blob.size { Disk.remove(path) }
    let found = try receive(client)
    if found == hex { return }
    Disk.remove(path)
    // What lay there from another time may have been wrong; what comes now is judged by itself.
    if old > 0, try receive(client) == hex { return }
    Disk.remove(path)
    throw refuse("The blob's digest is sha256:\(found), it should be \(blob.digest).")
  }

  /// Bytes that are there from an earlier time.
  private func size() throws(RegistryError) -> Int {
    var status = stat()
    guard lstat(path, &status) == 0 else { return 0 }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw RegistryError(.inputOutput, at: path, "This is not a regular file.", remedy: "Remove it.")
    }
    return Int(status.st_size)
  }

  /// Receives what is missing.
  /// - Returns: the digest of the whole file.
  private func receive(_ client: HTTPClient) throws(RegistryError) -> String {
    let written = try size()
    if written == 0, Disk.exists(path) { Disk.remove(path) }
    let file = written > 0 ? open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC) : FileSystem.create(path)
    guard file >= 0 else { throw Disk.error("cannot be written", path) }
    defer { close(file) }
    let reading = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
    guard reading >= 0 else { throw Disk.error("cannot be opened", path) }
    defer { close(reading) }
    let state = State(file: file, path: path, written: written, FollowingHash(reading, path: path))
    // The thread must have ended before its file is closed.
    defer { _ = try? state.hash.finish() }
    state.hash.advance(to: written)
    while state.written < blob.size || blob.size == 0 {
      // swift-format-ignore: OnlyOneTrailingClosureArgument
      let response = try client.send(
        sink: { (head, bytes) throws(RegistryError) in
          try take(bytes, head, state)
          client.network.progress(blob.digest, state.written, blob.size)
        }, progress: { state.written }
      ) {
        state.start(at: state.written)
        var request = HTTPRequest(url: url, scope: scope)
        if state.written > 0 { request.headers.append(("Range", "bytes=\(state.written)-")) }
        return request
      }
      guard response.status == 200 || response.status == 206 else {
        throw RegistryError(
          response.status == 404 ? .notFound : .network, at: url,
          "The blob is not given out: \(HTTPClient.words(response)).", remedy: "Tell the registry's owner.")
      }
      if blob.size == 0 { break }
      // An answer that ends early without its length being known is asked for the rest, unless nothing came.
      guard state.moved else {
        throw refuse("The blob ends after \(state.written) bytes, \(blob.size) were announced.")
      }
    }
    return try state.hash.finish()
  }

  /// Writes a part of an answer's body; an answer from the beginning is skipped up to what is there.
  private func take(
    _ bytes: UnsafeRawBufferPointer, _ head: HTTPResponse, _ state: State
  ) throws(RegistryError) {
    if !state.isChecked {
      state.isChecked = true
      let start = head.status == 206 ? state.start : 0
      if head.status == 206, head["content-range"] != "bytes \(start)-\(blob.size - 1)/\(blob.size)" {
        throw refuse("It answers a question for the bytes from \(start) on with \(head["content-range"] ?? "others").")
      }
      if let length = head.length, length != blob.size - start {
        throw refuse("The answer has \(length) bytes, \(blob.size - start) were announced.")
      }
      state.skip = state.start - start
    }
    var rest = bytes
    let skipped = min(state.skip, rest.count)
    state.skip -= skipped
    rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(skipped))
    guard state.written + rest.count <= blob.size else {
      throw refuse("The answer goes on beyond the \(blob.size) bytes that were announced.")
    }
    try state.write(rest)
  }

  private func refuse(_ reason: String) -> RegistryError {
    RegistryError(.corrupt, at: url, reason, remedy: "Tell the registry's owner.")
  }

  /// What the parts of one file have in common; used by one thread.
  private final class State {
    let file: Int32
    let path: String
    let hash: FollowingHash
    private(set) var written: Int
    private(set) var start = 0
    var skip = 0
    var isChecked = false
    /// Whether anything new came since `start(at:)`.
    var moved: Bool { written > start }

    init(file: Int32, path: String, written: Int, _ hash: FollowingHash) {
      self.file = file
      self.path = path
      self.written = written
      self.hash = hash
    }

    /// A request for what follows `count` bytes is sent.
    func start(at count: Int) {
      start = count
      skip = 0
      isChecked = false
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(RegistryError) {
      guard Disk.writeAll(file, bytes, path) else { throw Disk.error("cannot be written", path) }
      written += bytes.count
      hash.advance(to: written)
    }
  }
}
