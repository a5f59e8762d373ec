public import Foundation

/// A bundle unpacked into a folder.
public struct InstalledBundle: Sendable {
  public let directory: URL
  public let manifest: Manifest

  init(directory: URL, manifest: Manifest) {
    self.directory = directory
    self.manifest = manifest
  }

  /// Reads the manifest; the other files are looked at by `verify()` only.
  public init(directory: URL) throws(BundleError) {
    self.directory = directory
    let path = directory.appending(path: BundleEntry.manifest).path
    manifest = try Manifest(parsing: Files.read(path, atMost: 64 << 10), source: path)
  }

  /// Where a file of the bundle lies, whether it is there or not.
  public func url(of name: String) -> URL { directory.appending(path: name) }

  public var weights: URL { url(of: manifest.weights.file) }

  /// This machine's name among the platforms of plugins, such as `linux-x86_64`.
  public static var platform: String {
    #if os(Linux)
      let system = "linux"
    #elseif os(macOS)
      let system = "macos"
    #else
      let system = "unknown"
    #endif
    #if arch(x86_64)
      return "\(system)-x86_64"
    #elseif arch(arm64)
      return "\(system)-aarch64"
    #else
      return "\(system)-unknown"
    #endif
  }

  /// The plugin library for `platform`; its absence is an error that names the platforms there are.
  public func library(platform: String = InstalledBundle.platform) throws(BundleError) -> URL {
    let libraries = manifest.plugin?.libraries ?? [:]
    guard let name = libraries[platform] else {
      let known = libraries.keys.sorted().joined(separator: ", ")
      throw BundleError(
        .unsupportedPlugin, at: directory.path,
        "\(manifest.name) \(manifest.version) has no plugin for \(platform); it has \(known.isEmpty ? "none" : known).",
        remedy: "Ask its publisher for one.")
    }
    return url(of: name)
  }

  /// Compares every file with `SHA256SUMS` and the manifest; links and files that are not listed are refused.
  public func verify() throws(BundleError) {
    let source = directory.path
    let names = try BundleFolder.files(in: directory)
    let path = url(of: BundleEntry.sums).path
    let sums = try SumsFile(parsing: Files.read(path, atMost: 64 << 10), source: path)
    try manifest.check(names: names, source: source)
    try sums.check(names: names, source: source)
    for line in sums.lines {
      try sums.check(line.name, digest: SHA256.hex(ofFile: url(of: line.name).path), source: source)
    }
    try manifest.checkWeights(digest: sums[BundleEntry.weights] ?? "none", source: source)
    _ = try SafetensorsFile(path: weights.path)
  }
}

/// The files of an unpacked bundle.
enum BundleFolder {
  /// The names of all files below `directory` in bundle order; anything but regular files of allowed names is refused.
  static func files(in directory: URL) throws(BundleError) -> [String] {
    let manager = FileManager.default
    guard let paths = try? manager.subpathsOfDirectory(atPath: directory.path) else {
      throw BundleError(
        .inputOutput, at: directory.path, "The folder cannot be read.", remedy: "Check the path and its permissions.")
    }
    var names: [String] = []
    for path in paths {
      let kind = FileSystem.status(directory.appending(path: path).path)?.kind
      if kind == .folder { continue }
      guard kind == .file, BundleEntry.rank(path) != nil else {
        throw BundleError(
          .forbidden, at: directory.path, "\(path.debugDescription) is not a file that a bundle may hold.",
          remedy: "Remove it.")
      }
      names.append(path)
    }
    return names.sorted(by: BundleEntry.precedes)
  }
}
