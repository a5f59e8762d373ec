/// The parts of a path, by its text alone: nothing is looked up, and no link is followed.
///
/// A slash is the byte, as for the kernel: one that a combining character follows is a slash, too. Foundation's functions
/// of this kind end the program for relative paths of one character.
package enum PathText {
  private static let slash = UInt8(ascii: "/")

  /// What lies before the last part: "a" of `a/b`, "/" of `/a`, nothing of `a`.
  package static func folder(of path: String) -> String {
    let bytes = trimmed(path.utf8[...])
    guard let end = bytes.lastIndex(of: slash) else { return "" }
    return String(Substring(trimmed(bytes[...end])))
  }

  /// The last part: "b" of `a/b` and of `a/b/`, "/" of `/`.
  package static func name(of path: String) -> String {
    let bytes = trimmed(path.utf8[...])
    guard bytes.count > 1, let end = bytes.lastIndex(of: slash) else { return String(Substring(bytes)) }
    return String(Substring(bytes[bytes.index(after: end)...]))
  }

  /// The last part without its last suffix: "b.c" of `a/b.c.png`; a name that begins with its only dot has none.
  package static func stem(of path: String) -> String {
    let name = name(of: path)
    return dot(in: name).map { String(name[..<$0]) } ?? name
  }

  /// The last suffix without its dot: "png" of `a/b.c.png`.
  package static func suffix(of path: String) -> String {
    let name = name(of: path)
    return dot(in: name).map { String(name.unicodeScalars[name.unicodeScalars.index(after: $0)...]) } ?? ""
  }

  /// `name` below `folder`; a folder without a name is the working one.
  package static func join(_ folder: String, _ name: String) -> String {
    folder.isEmpty ? name : folder.utf8.last == slash ? folder + name : "\(folder)/\(name)"
  }

  /// Whether a relative path stays below where it begins: neither absolute, nor empty, nor with a ".." in it.
  package static func staysInside(_ path: String) -> Bool {
    guard let first = path.utf8.first, first != slash else { return false }
    return !path.utf8.split(separator: slash).contains { $0.elementsEqual("..".utf8) }
  }

  /// Where the last suffix begins.
  private static func dot(in name: String) -> String.Index? {
    guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")), dot != name.startIndex else { return nil }
    return name.utf8.index(after: dot) == name.endIndex ? nil : dot
  }

  /// Without slashes at its end; one that is nothing else is `/`.
  private static func trimmed(_ bytes: Substring.UTF8View) -> Substring.UTF8View {
    var bytes = bytes
    while bytes.count > 1, bytes.last == slash { bytes = bytes.dropLast() }
    return bytes
  }
}
