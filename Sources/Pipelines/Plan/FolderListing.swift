internal import Foundation

/// Something that lies in a folder.
struct FolderEntry {
  /// With U+FFFD where bytes are no UTF-8.
  let name: String
  /// Whether the name is UTF-8; by another one the file cannot be opened here.
  let isText: Bool
  /// Links to folders are none.
  let isFolder: Bool
}

/// Why a folder cannot be read.
struct FolderError: Error {
  let code: Int32
  var reason: String { "The folder cannot be read: \(String(cString: strerror(code)))." }
}

/// What lies in a folder, in order of name, hidden files too.
///
/// `FileManager` leaves out names that are not UTF-8 and says nothing.
func listFolder(_ path: String) throws(FolderError) -> [FolderEntry] {
  guard let list = opendir(path.isEmpty ? "." : path) else { throw FolderError(code: errno) }
  defer { closedir(list) }
  var entries: [FolderEntry] = []
  while true {
    errno = 0
    guard let next = readdir(list) else { break }
    let entry = withUnsafePointer(to: &next.pointee.d_name) { pointer in
      pointer.withMemoryRebound(to: CChar.self, capacity: 256) { name -> FolderEntry in
        var status = stat()
        let isThere = fstatat(dirfd(list), name, &status, AT_SYMLINK_NOFOLLOW) == 0
        let text = String(validatingCString: name)
        return FolderEntry(
          name: text ?? String(cString: name), isText: text != nil,
          isFolder: isThere && status.st_mode & S_IFMT == S_IFDIR)
      }
    }
    if entry.name != ".", entry.name != ".." { entries.append(entry) }
  }
  guard errno == 0 else { throw FolderError(code: errno) }
  return entries.sorted { $0.name < $1.name }
}
