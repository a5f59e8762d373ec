internal import Bundles
public import Foundation

/// Where a recipe's photographs are: a WebDataset tar shard, or a folder searched with its subfolders.
public struct PhotographSource: Codable, Hashable, Sendable {
  /// May begin with `${CODI_DATA}`, the folder of public data.
  public var path: String
  /// Of the shard's bytes, in hexadecimal; verified before anything is read. A folder has none.
  public var sha256: String?
  /// SPDX expression of the photographs' licence; what is trained on them says so.
  public var license: String
  /// Where the photographs come from, for the card.
  public var source: String?

  public init(path: String, sha256: String? = nil, license: String = "CC0-1.0", source: String? = nil) {
    self.path = path
    self.sha256 = sha256
    self.license = license
    self.source = source
  }

  /// The path with `${CODI_DATA}` filled in.
  public func resolvedPath(
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(DataError) -> String {
    let variable = "${CODI_DATA}"
    guard path.contains("${") else { return path }
    guard path.contains(variable), !path.replacingOccurrences(of: variable, with: "").contains("${") else {
      throw DataError(
        .environment, at: path, "Only \(variable) is filled in.", remedy: "Name the folder, or use \(variable).")
    }
    guard let folder = environment["CODI_DATA"], !folder.isEmpty else {
      throw DataError(
        .environment, at: path, "The environment variable CODI_DATA is not set.",
        remedy: "Set it to the folder that holds the data: export CODI_DATA=/path/to/data")
    }
    return path.replacingOccurrences(of: variable, with: folder)
  }
}

/// One encoded photograph, not yet read.
struct StoredPhotograph: Sendable {
  /// `shard.tar/entry.jpg`, or the file's path.
  let name: String
  let read: @Sendable () throws(DataError) -> [UInt8]
}

extension PhotographSource {
  private static let suffixes: Set = ["jpg", "jpeg", "png", "webp"]

  /// Every JPEG, PNG and WebP of the source, in the archive's order or sorted by path.
  func list(environment: [String: String]) throws(DataError) -> [StoredPhotograph] {
    let path = try resolvedPath(environment: environment)
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw DataError(
        .missing, at: path, "There is no such shard or folder.",
        remedy: "Correct the recipe's path, or put the data there.")
    }
    let photographs = isFolder.boolValue ? try listFolder(path) : try listShard(path)
    guard !photographs.isEmpty else {
      throw DataError(
        .empty, at: path, "It holds no JPEG, PNG or WebP picture.", remedy: "Correct the recipe's path.")
    }
    return photographs
  }

  private func listShard(_ path: String) throws(DataError) -> [StoredPhotograph] {
    if let sha256 { try PhotographSource.verify(path, sha256: sha256) }
    let archive = try TarArchive(path)
    let shard = URL(filePath: path).lastPathComponent
    return archive.entries.filter { PhotographSource.isPicture($0.name) }.map { entry in
      StoredPhotograph(name: "\(shard)/\(entry.name)") { () throws(DataError) in try archive.read(entry) }
    }
  }

  private func listFolder(_ path: String) throws(DataError) -> [StoredPhotograph] {
    guard sha256 == nil else {
      throw DataError(
        .options, at: path, "A folder has no SHA-256.", remedy: "Remove sha256 from the recipe, or name a shard.")
    }
    let names = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
    return names.filter(PhotographSource.isPicture).sorted().map { name in
      let file = "\(path)/\(name)"
      return StoredPhotograph(name: file) { () throws(DataError) in
        do {
          return [UInt8](try Data(contentsOf: URL(filePath: file)))
        } catch {
          throw DataError(.missing, at: file, "It cannot be read: \(error).", remedy: "Check its permissions.")
        }
      }
    }
  }

  private static func isPicture(_ name: String) -> Bool {
    guard let file = name.split(separator: "/").last, !file.hasPrefix("."), let dot = file.lastIndex(of: ".") else {
      return false
    }
    return suffixes.contains(file[file.index(after: dot)...].lowercased())
  }

  private static func verify(_ path: String, sha256 expected: String) throws(DataError) {
    let found: String
    do {
      found = try SHA256.hex(ofFile: path)
    } catch {
      throw DataError(.missing, at: path, "It cannot be read: \(error).", remedy: "Check its permissions.")
    }
    guard found == expected.lowercased() else {
      throw DataError(
        .checksum, at: path, "Its SHA-256 is \(found), the recipe says \(expected).",
        remedy: "Fetch the shard again, or correct the recipe.")
    }
  }
}
