internal import Bundles
public import Foundation

/// Finds the pictures behind what a user names: files, folders, patterns and lists.
public enum InputList {
  /// Suffixes that are looked for in folders.
  static let readable: Set = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "heic", "heif", "avif", "gif"]
  /// Bytes of the longest name that the kernel takes.
  private static let longestName = 4096

  /// - Parameters:
  ///   - inputs: files; folders, whose pictures are taken with those of the folders inside, in order of name; patterns
  ///     with `*`, `?`, `[…]`, and `**` for any folders between, when no file has that name.
  ///   - excluded: a folder left out while looking through others: where the results go.
  /// - Returns: also what cannot be looked at, with its `problem`.
  /// - Throws: `ConversionError` for what does not exist, and for no pictures at all.
  public static func find(
    _ inputs: [String], excluding excluded: String? = nil
  ) throws(ConversionError) -> [InputItem] {
    let excluded = excluded.flatMap(realPath)
    var items: [InputItem] = []
    for input in inputs {
      if let isFolder = isFolder(input) {
        if isFolder { try walk(input, "", excluded, into: &items) } else { items.append(InputItem(path: input)) }
        continue
      }
      guard input.contains(where: { "*?[".contains($0) }) else {
        throw ConversionError(.noInput, at: input, "There is no such file or folder.", remedy: "Check the path.")
      }
      let found = matches(input)
      guard !found.isEmpty else {
        throw ConversionError(.noInput, at: input, "No picture has such a name.", remedy: "Check the pattern.")
      }
      items += found
    }
    return try checked(items, of: inputs)
  }

  /// The pictures of a list of names: one a line, or ended by NUL where there is one, as `find -print0` writes them.
  ///
  /// Names from a list are no patterns, and one that does not exist is an item that will fail, for nobody watches.
  public static func find(list data: Data, excluding excluded: String? = nil) throws(ConversionError) -> [InputItem] {
    let excluded = excluded.flatMap(realPath)
    let separator: UInt8 = data.contains(0) ? 0 : UInt8(ascii: "\n")
    var items: [InputItem] = []
    for line in data.split(separator: separator) {
      guard line.count <= longestName else {
        items.append(
          InputItem(
            path: String(decoding: line.prefix(60), as: UTF8.self) + "…",
            problem: "The name has \(line.count) bytes, more than file names have."))
        continue
      }
      guard var name = String(validating: line, as: UTF8.self) else {
        items.append(InputItem(path: String(decoding: line, as: UTF8.self), problem: notText))
        continue
      }
      if separator != 0, name.utf8.last == UInt8(ascii: "\r") { name.unicodeScalars.removeLast() }
      guard !name.isEmpty else { continue }
      guard isFolder(name) == true else {
        items.append(InputItem(path: name))
        continue
      }
      do { try walk(name, "", excluded, into: &items) } catch {
        items.append(InputItem(path: name, problem: error.reason))
      }
    }
    return try checked(items, of: [])
  }

  private static func checked(_ items: [InputItem], of inputs: [String]) throws(ConversionError) -> [InputItem] {
    guard items.isEmpty else { return items }
    throw ConversionError(
      .noInput, at: inputs.isEmpty ? "inputs" : inputs.prefix(5).joined(separator: ", "), "No pictures were found.",
      remedy: "Name files, or folders that hold " + readable.sorted().joined(separator: ", ") + ".")
  }

  private static let notText = "The name is not UTF-8, as names must be here: rename it."

  /// Links to folders are not followed, so that the walk ends.
  /// - Throws: for the folder that the user named alone; folders inside that cannot be read are items that will fail.
  private static func walk(
    _ root: String, _ folder: String, _ excluded: String?, into items: inout [InputItem]
  ) throws(ConversionError) {
    let path = folder.isEmpty ? root : PathText.join(root, folder)
    let entries: [FolderEntry]
    do { entries = try listFolder(path) } catch {
      guard folder.isEmpty else {
        items.append(InputItem(path: path, problem: error.reason))
        return
      }
      throw ConversionError(.noInput, at: path, error.reason, remedy: "Check its permissions.")
    }
    for entry in entries where !entry.name.hasPrefix(".") {
      let file = PathText.join(path, entry.name)
      guard entry.isText else {
        if entry.isFolder || readable.contains(suffix(entry.name)) {
          items.append(InputItem(path: file, problem: notText))
        }
        continue
      }
      if entry.isFolder {
        if let excluded, realPath(file) == excluded { continue }
        try walk(root, PathText.join(folder, entry.name), excluded, into: &items)
      } else if readable.contains(suffix(entry.name)), isFolder(file) != true {
        var item = InputItem(path: file)
        (item.folder, item.isFound) = (folder, true)
        items.append(item)
      }
    }
  }

  /// The pictures that a pattern matches, in order of name, and after them what could not be looked at.
  private static func matches(_ pattern: String) -> [InputItem] {
    var paths = [pattern.hasPrefix("/") ? "/" : ""]
    var problems: [InputItem] = []
    func entries(_ path: String) -> [FolderEntry] {
      do { return try listFolder(path) } catch {
        if error.code != ENOENT, error.code != ENOTDIR { problems.append(InputItem(path: path, problem: error.reason)) }
        return []
      }
    }
    func named(_ path: String, _ entry: FolderEntry, counts: Bool) -> String? {
      let file = PathText.join(path, entry.name)
      if entry.isText { return file }
      if counts { problems.append(InputItem(path: file, problem: notText)) }
      return nil
    }
    func folders(below path: String) -> [String] {
      entries(path).filter { $0.isFolder && !$0.name.hasPrefix(".") }.flatMap { entry -> [String] in
        named(path, entry, counts: true).map { [$0] + folders(below: $0) } ?? []
      }
    }
    let parts = pattern.split(separator: "/").map(String.init)
    for (number, part) in parts.enumerated() {
      let isLast = number == parts.count - 1
      paths = paths.flatMap { path -> [String] in
        if part == "**" { return [path] + folders(below: path) }
        guard part.contains(where: { "*?[".contains($0) }) else {
          let next = PathText.join(path, part)
          return isFolder(next) == nil || (!isLast && isFolder(next) != true) ? [] : [next]
        }
        return entries(path).filter { fnmatch(part, $0.name, FNM_PERIOD) == 0 }
          .compactMap { named(path, $0, counts: isLast ? readable.contains(suffix($0.name)) : $0.isFolder) }
          .filter { isLast || isFolder($0) == true }
      }
    }
    let pictures = paths.filter { readable.contains(suffix($0)) && isFolder($0) == false }
    // `**` looks into a folder that the next part looks into again.
    var seen: Set<String> = []
    return pictures.map { path in
      var item = InputItem(path: path)
      item.isFound = true
      return item
    } + problems.filter { seen.insert($0.path).inserted }
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
