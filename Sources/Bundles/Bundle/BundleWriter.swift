public import Foundation

/// Packs bundles: the same bytes for the same files, on every machine with the same zlib.
public enum BundleWriter {
  /// Packs `files` under `manifest`, whose `weights` are filled in from the weights file.
  ///
  /// The finished file is verified before it takes its place.
  /// - Parameters:
  ///   - files: All entries but the manifest and the sums, in any order.
  ///   - key: Signs the bundle; unsigned if left out.
  /// - Returns: The manifest as packed.
  @discardableResult
  public static func pack(
    _ manifest: Manifest, files: [(name: String, source: ZipWriter.Source)], to path: String,
    key: SecretKey? = nil
  ) throws(BundleError) -> Manifest {
    var manifest = manifest
    manifest.weights = try describeWeights(files, path)
    let text = try manifest.yaml()
    var entries = files
    entries.append((BundleEntry.manifest, .data(Data(text.utf8))))
    for (name, _) in files where !isListed(name) || name == BundleEntry.manifest {
      throw BundleError(
        .forbidden, at: path, "\(name.debugDescription) is not a file that can be packed.", remedy: "Leave it out.")
    }
    entries.sort { BundleEntry.precedes($0.name, $1.name) }
    var sums: [SumsFile.Line] = []
    for (name, source) in entries { sums.append(.init(digest: try digest(source), name: name)) }
    let sumsData = Data(SumsFile(sums).text.utf8)
    entries.append((BundleEntry.sums, .data(sumsData)))
    if let key { entries.append(try BundleSignature.entry(sums: sumsData, of: manifest, by: key)) }
    try ZipWriter.write(entries, to: path) { (temporary) throws(BundleError) in
      try BundleSignature.check(temporary, key?.publicKey)
    }
    return manifest
  }

  /// Packs the files of `folder`, whose `manifest.yaml` need not say anything about the weights.
  ///
  /// A `SHA256SUMS` there is made anew; any other file that no bundle may hold is refused.
  /// - Returns: The manifest as packed.
  @discardableResult
  public static func pack(
    folder: URL, to path: String, key: SecretKey? = nil
  ) throws(BundleError) -> Manifest {
    let names = try BundleFolder.files(in: folder).filter { $0 != BundleEntry.manifest && $0 != BundleEntry.sums }
    let files = names.map { (name: $0, source: ZipWriter.Source.file(path: folder.appending(path: $0).path)) }
    let source = folder.appending(path: BundleEntry.manifest).path
    var node = try YAML.parse(Files.read(source, atMost: 64 << 10), source: source)
    if case .mapping(var pairs) = node.value {
      pairs.removeAll { $0.key == "weights" }
      pairs.append(.init("weights", try Options.encode(describeWeights(files, folder.path))))
      node.value = .mapping(pairs)
    }
    return try pack(Manifest(node: node, source: source), files: files, to: path, key: key)
  }

  private static func isListed(_ name: String) -> Bool {
    guard let rank = BundleEntry.rank(name), let sums = BundleEntry.rank(BundleEntry.sums) else { return false }
    return rank < sums
  }

  private static func describeWeights(
    _ files: [(name: String, source: ZipWriter.Source)], _ place: String
  ) throws(BundleError) -> Manifest.Weights {
    guard let source = files.first(where: { $0.name == BundleEntry.weights })?.source else {
      throw BundleError(
        .missingEntry, at: place, "There is no \"\(BundleEntry.weights)\".", remedy: "Train first, or add the file.")
    }
    return Manifest.Weights(sha256: try digest(source), parameters: try elementCount(source))
  }

  private static func elementCount(_ source: ZipWriter.Source) throws(BundleError) -> Int {
    switch source {
    case .file(let path): return try SafetensorsFile(path: path).elementCount
    case .data(let data):
      let header = data.withUnsafeBytes { bytes in
        Result { () throws(BundleError) in try SafetensorsHeader(bytes, path: BundleEntry.weights) }
      }
      return try header.get().elementCount
    }
  }

  private static func digest(_ source: ZipWriter.Source) throws(BundleError) -> String {
    switch source {
    case .file(let path): try SHA256.hex(ofFile: path)
    case .data(let data): SHA256.hex(of: data)
    }
  }
}
