internal import Bundles
public import Foundation

/// Finds the pictures behind what a user names: files, folders, patterns and lists.
public enum InputList {
  /// Suffixes that are looked for in folders.
  static let readable: Set = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "heic", "heif", "avif", "gif"]

  /// - Parameters:
  ///   - inputs: files; folders, whose pictures are taken with those of the folders inside, in order of name; patterns
  ///     with `*`, `?`, `[…]`, and `**` for any folders between, when no file has that name.
  ///   - excluded: a folder left out while looking through others: where the results go.
  ///   - isList: names from a list are no patterns, and one that does not exist is an item that will fail, for nobody
  ///     watches.
  /// - Throws: `ConversionError` for what does not exist, and for no pictures at all.
  public static func find(
    _ inputs: [String], excluding excluded: String? = nil, isList: Bool = false
  ) throws(ConversionError) -> [InputItem] {
    let excluded = excluded.flatMap(realPath)
    var items: [InputItem] = []
    for input in inputs {
      if let isFolder = isFolder(input) {
        if isFolder { try walk(input, "", excluded, into: &items) } else { items.append(InputItem(path: input)) }
        continue
      }
      guard !isList else {
        items.append(InputItem(path: input))
        continue
      }
      guard input.contains(where: { "*?[".contains($0) }) else {
        throw ConversionError(.noInput, at: input, "There is no such file or folder.", remedy: "Check the path.")
      }
      let found = matches(input).filter { readable.contains(suffix($0)) && Self.isFolder($0) == false }
      guard !found.isEmpty else {
        throw ConversionError(.noInput, at: input, "No picture has such a name.", remedy: "Check the pattern.")
      }
      items += found.map { InputItem(path: $0) }
    }
    guard !items.isEmpty else {
      throw ConversionError(
        .noInput, at: inputs.isEmpty ? "inputs" : inputs.prefix(5).joined(separator: ", "), "No pictures were found.",
        remedy: "Name files, or folders that hold " + readable.sorted().joined(separator: ", ") + ".")
    }
    return items
  }

  /// The names in a list: one a line, or ended by NUL where there is one, as `find -print0` writes them.
  public static func names(in data: Data) -> [String] {
    let separator: UInt8 = data.contains(0) ? 0 : UInt8(ascii: "\n")
    return data.split(separator: separator).map { line in
      let name = String(decoding: line, as: UTF8.self)
      return separator != 0 && name.hasSuffix("\r") ? String(name.dropLast()) : name
    }.filter { !$0.isEmpty }
  }

  /// Links to folders are not followed, so that the walk ends.
  private static func walk(
    _ root: String, _ folder: String, _ excluded: String?, into items: inout [InputItem]
  ) throws(ConversionError) {
    let path = folder.isEmpty ? root : join(root, folder)
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: path) } catch {
      throw ConversionError(
        .noInput, at: path, "The folder cannot be read: \(error.localizedDescription)", remedy: "Check its permissions."
      )
    }
    for name in names.sorted() where !name.hasPrefix(".") {
      let file = join(path, name)
      var status = stat()
      guard lstat(file, &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR {
        if let excluded, realPath(file) == excluded { continue }
        try walk(root, folder.isEmpty ? name : "\(folder)/\(name)", excluded, into: &items)
      } else if readable.contains(suffix(name)), isFolder(file) != true {
        var item = InputItem(path: file)
        item.folder = folder
        items.append(item)
      }
    }
  }

  /// What a pattern matches, in order of name.
  private static func matches(_ pattern: String) -> [String] {
    var paths = [pattern.hasPrefix("/") ? "/" : ""]
    let parts = pattern.split(separator: "/").map(String.init)
    for (number, part) in parts.enumerated() {
      let isLast = number == parts.count - 1
      paths = paths.flatMap { path -> [String] in
        if part == "**" { return [path] + folders(below: path) }
        guard part.contains(where: { "*?[".contains($0) }) else {
          let next = join(path, part)
          return isFolder(next) == nil || (!isLast && isFolder(next) != true) ? [] : [next]
        }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path.isEmpty ? "." : path)) ?? []
        return names.sorted().filter { fnmatch(part, $0, FNM_PERIOD) == 0 }.map { join(path, $0) }
          .filter { isLast || isFolder($0) == true }
      }
    }
    return paths
  }

  private static func folders(below path: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path.isEmpty ? "." : path)) ?? []
    return names.sorted().filter { !$0.hasPrefix(".") }.flatMap { name -> [String] in
      let folder = join(path, name)
      var status = stat()
      guard lstat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return [] }
      return [folder] + folders(below: folder)
    }
  }

  private static func join(_ folder: String, _ name: String) -> String {
    folder.isEmpty ? name : folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
  }

  /// `nil` for what does not exist; a link that leads nowhere counts as a file, so that it is named as broken.
  private static func isFolder(_ path: String) -> Bool? {
    var status = stat()
    if stat(path, &status) == 0 { return status.st_mode & S_IFMT == S_IFDIR }
    return lstat(path, &status) == 0 ? false : nil
  }

  static func suffix(_ name: String) -> String { PathText.suffix(of: name).lowercased() }
}

/// The path with every link and dot resolved; `nil` for what does not exist.
func realPath(_ path: String) -> String? {
  guard let real = realpath(path.isEmpty ? "." : path, nil) else { return nil }
  defer { free(real) }
  return String(cString: real)
}
