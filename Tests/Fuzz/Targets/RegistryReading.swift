internal import Bundles
internal import Foundation
internal import Registry

/// Lays out a registry in a folder and asks it everything that needs no plugin.
///
/// The input is `index.json` and any number of blobs after it, each begun by a line `%%`. `{digest N}` and `{size N}`
/// stand for those of the N-th blob (from 1), so that a changed document is still found and read; in a blob they may
/// name blobs after it.
enum RegistryReading {
  private static let mark = Data("\n%%\n".utf8)

  static func run(_ input: Data) throws -> Int {
    let folder = try ScratchFolder()
    try folder.folder("blobs")
    try folder.folder("blobs/sha256")
    try folder.write(Data(#"{"imageLayoutVersion":"1.0.0"}"#.utf8), "oci-layout")
    var parts = split(input)
    // From the last on: what a blob names must have its final bytes.
    for place in parts.indices.reversed() {
      for later in parts.indices.dropFirst(place + 1) {
        parts[place].replace("{digest \(later)}", with: "sha256:" + SHA256.hex(of: parts[later]))
        parts[place].replace("{size \(later)}", with: "\(parts[later].count)")
      }
      try folder.write(parts[place], place == 0 ? "index.json" : "blobs/sha256/\(SHA256.hex(of: parts[place]))")
    }
    var answers = 0
    try refusing { answers = try ask(BundleRegistry(path: folder.path), folder) }
    return answers
  }

  /// - Returns: how many questions were answered.
  private static func ask(_ registry: BundleRegistry, _ folder: ScratchFolder) throws -> Int {
    var artifacts: [Artifact] = []
    var answers = try refusing { artifacts = try registry.list() }
    for (number, artifact) in artifacts.enumerated() {
      answers += try refusing {
        let manifest = try registry.manifest(of: artifact)
        try promise(manifest.identity == artifact.identity, "\(artifact.identity) is shown for \(manifest.identity)")
        let target = "\(folder.path)/\(number).codi"
        try registry.fetch(artifact, to: target)
        try promise(
          "sha256:" + SHA256.hex(ofFile: target) == artifact.bundle.digest, "\(artifact.identity) has other bytes")
      }
    }
    answers += try refusing { _ = try registry.search("e") }
    answers += try refusing { _ = try registry.resolve(Reference("demo/core@^1")) }
    answers += try refusing {
      if let signed = try registry.statements(of: "demo") {
        try promise(signed.statements.number > 0, "statements without a number")
      }
    }
    answers += try refusing { _ = try registry.check() }
    return answers
  }

  /// At most eight parts.
  private static func split(_ input: Data) -> [Data] {
    var parts: [Data] = []
    var rest = input[...]
    while parts.count < 7, let range = rest.range(of: mark) {
      parts.append(Data(rest[..<range.lowerBound]))
      rest = rest[range.upperBound...]
    }
    return parts + [Data(rest)]
  }
}

extension Data {
  fileprivate mutating func replace(_ word: String, with other: String) {
    let (word, other) = (Data(word.utf8), Data(other.utf8))
    var start = startIndex
    while let range = self[start...].range(of: word) {
      replaceSubrange(range, with: other)
      start = range.lowerBound + other.count
    }
  }
}
