public import Foundation

/// `SHA256SUMS`: one line of digest, two spaces, and name for each file, as `sha256sum` writes it.
public struct SumsFile: Sendable, Hashable {
  public struct Line: Sendable, Hashable {
    public var digest: String
    public var name: String

    public init(digest: String, name: String) {
      self.digest = digest
      self.name = name
    }
  }

  public var lines: [Line]

  public init(_ lines: [Line]) { self.lines = lines }

  /// Parses the file; digests are lower-case, names are those of bundle entries, none twice.
  public init(parsing data: Data, source: String) throws(BundleError) {
    guard data.last ?? 10 == 10, String(validating: data, as: UTF8.self) != nil else {
      throw SumsFile.error(.syntax, source, "The file is not UTF-8 text that ends with a line break.")
    }
    var lines: [Line] = []
    var names: Set<String> = []
    // By bytes: among characters a carriage return would swallow the line feed.
    for (index, line) in data.split(separator: 10, omittingEmptySubsequences: false).dropLast().enumerated() {
      let line = String(decoding: line, as: UTF8.self)
      let place = "\(source):\(index + 1)"
      let digest = String(line.prefix(64))
      let name = String(line.dropFirst(66))
      guard SHA256.isHex(digest), line.dropFirst(64).hasPrefix("  "), !name.isEmpty else {
        throw SumsFile.error(.syntax, place, "The line is not 64 hexadecimal digits, two spaces, and a name.")
      }
      guard let rank = BundleEntry.rank(name), rank < BundleEntry.rank(BundleEntry.sums) ?? 0 else {
        throw SumsFile.error(.forbidden, place, "\(name.debugDescription) is no file that sums may list.")
      }
      guard names.insert(name).inserted else { throw SumsFile.error(.forbidden, place, "\"\(name)\" occurs twice.") }
      lines.append(Line(digest: digest, name: name))
    }
    self.lines = lines
  }

  public var text: String { lines.map { "\($0.digest)  \($0.name)\n" }.joined() }

  /// The digest of `name`, if it is listed.
  public subscript(name: String) -> String? { lines.first { $0.name == name }?.digest }

  /// Refuses any file that is not listed and any listed file that is not there.
  ///
  /// - Parameter names: All files of the bundle; the sums themselves and their signature are never listed.
  public func check(names: [String], source: String) throws(BundleError) {
    let listed = Set(lines.map(\.name))
    let present = Set(names).subtracting([BundleEntry.sums, BundleEntry.signature])
    if let missing = listed.subtracting(present).min() {
      throw SumsFile.error(.missingEntry, source, "\(BundleEntry.sums) lists \"\(missing)\", which is not there.")
    }
    if let extra = present.subtracting(listed).min() {
      throw SumsFile.error(.unlistedEntry, source, "\"\(extra)\" is not listed in \(BundleEntry.sums).")
    }
  }

  /// Refuses a file whose digest is not the listed one.
  public func check(_ name: String, digest: String, source: String) throws(BundleError) {
    let expected = self[name] ?? "none"
    guard expected == digest else {
      throw SumsFile.error(
        .checksumMismatch, "\(source)/\(name)", "SHA-256 is \(digest); \(BundleEntry.sums) says \(expected).")
    }
  }

  private static func error(_ code: BundleError.Code, _ location: String, _ reason: String) -> BundleError {
    BundleError(
      code, at: location, reason, remedy: "Fetch the bundle again; if that does not help, tell its publisher.")
  }
}
