internal import Bundles
internal import Foundation

/// Opens a `.codi` file and reads all of it.
enum BundleReading {
  static func run(_ input: Data) throws -> Int {
    let file = try MemoryFile(input)
    return try refusing { try entries(ZipArchive(path: file.path), input.count) }
      + refusing { try bundle(BundleReader(path: file.path)) }
  }

  /// Every entry by itself, so that a damaged one does not hide the others.
  private static func entries(_ archive: ZipArchive, _ bytes: Int) throws {
    try promise(Set(archive.names).count == archive.names.count, "a name occurs twice")
    for name in archive.names {
      try promise(
        !name.hasPrefix("/") && !name.split(separator: "/").contains("..") && !name.contains("\0"),
        "the name \(name.debugDescription) leads out of the bundle")
      let size = archive.size(of: name) ?? -1
      try promise(size >= 0 && size <= 200 * bytes, "\(name) has \(size) bytes, the file \(bytes)")
      try refusing {
        var count = 0
        try archive.stream(name) { count += $0.count }
        try promise(count == size, "\(name) gave \(count) of \(size) bytes")
      }
    }
  }

  private static func bundle(_ reader: BundleReader) throws {
    try reader.verify()
    let files = reader.archive.names.filter { $0 != BundleEntry.sums && $0 != BundleEntry.signature }
    for name in files {
      var hash = SHA256()
      try reader.archive.stream(name) { hash.update($0) }
      try promise(reader.sums[name] == hash.hex(), "\(name) passed with another digest than the listed one")
    }
    try promise(files.count == reader.sums.lines.count, "the sums list other files than the zip has")
    try reader.verifySignature(with: TestKey.key().publicKey)
    // Nobody but the makers of the seeds signs with this key.
    try promise(Seeds.signed.contains(reader.manifest.identity), "\(reader.manifest.identity) has a forged signature")
  }
}
