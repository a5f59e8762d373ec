import Bundles
import Foundation
import Registry

/// The user's own keys: `NAME.key` and `NAME.pub` in the folder `keys` of the store.
enum KeyFiles {
  static var folder: URL { URL(filePath: Locations.store.home).appending(path: "keys") }

  /// The file of a key: a path, or the name of one of the user's own.
  static func path(_ key: String, _ ending: String) -> String {
    if key.contains("/") || key.hasSuffix(".\(ending)") { return key }
    return folder.appending(path: "\(key).\(ending)").path
  }

  /// Opens a secret key, asking for its password if it has one.
  static func secret(_ key: String) throws -> SecretKey {
    let path = path(key, "key")
    let data = try read(path, "codi keys list")
    let encrypted = try SecretKey.isEncrypted(data, source: path)
    return try SecretKey(parsing: data, password: encrypted ? password("Password of \(path): ") : nil, source: path)
  }

  /// A public key: its 56 characters, a `.pub` file, or the name of one of the user's own.
  static func shown(_ key: String) throws -> PublicKey {
    if let key = PublicKey(key) { return key }
    let path = path(key, "pub")
    return try PublicKey(parsing: try read(path, "codi trust list"), source: path)
  }

  /// The user's own keys by name.
  static func list() throws -> [(name: String, key: PublicKey)] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return try files.filter { $0.hasSuffix(".pub") }.sorted().map {
      ($0.replacing(".pub", with: ""), try shown(String($0.dropLast(4))))
    }
  }

  /// Writes both files of a new key; neither may be there already, and only the user can read the secret one.
  static func write(_ key: SecretKey, name: String, password: String?) throws {
    let (secret, shown) = (path(name, "key"), path(name, "key").replacing(/\.key$/, with: "") + ".pub")
    let parent = URL(filePath: secret).deletingLastPathComponent().path
    try FileManager.default.createDirectory(
      atPath: parent, withIntermediateDirectories: true,
      attributes: name.contains("/") ? nil : [.posixPermissions: 0o700])
    for (path, text, mode) in [(secret, try key.file(password: password), 0o600), (shown, key.publicKey.file, 0o644)] {
      let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(mode))
      guard file >= 0 else {
        throw Exit.Failure(
          exit: .refused,
          description: "\(path): The key cannot be written: \(String(cString: strerror(errno))). Choose another name.")
      }
      let handle = FileHandle(fileDescriptor: file, closeOnDealloc: true)
      try handle.write(contentsOf: Data(text.utf8))
      try handle.synchronize()
    }
  }

  /// Asks on the terminal, without showing what is typed; reads a line from stdin where that is none.
  static func password(_ question: String) throws -> String {
    guard isatty(STDIN_FILENO) == 1 else {
      guard let line = readLine() else {
        throw Exit.Failure(exit: .usage, description: "The password is missing. Type it, or pass it on stdin.")
      }
      return line
    }
    StandardStreams.say(question)
    var shown = termios()
    tcgetattr(STDIN_FILENO, &shown)
    var hidden = shown
    hidden.c_lflag &= ~tcflag_t(ECHO)
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden)
    defer {
      tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown)
      StandardStreams.say("\n")
    }
    return readLine() ?? ""
  }

  private static func read(_ path: String, _ help: String) throws -> Data {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Exit.Failure(
        exit: .notFound, description: "\(path): There is no such key. Name a file, or a key that `\(help)` shows.")
    }
    return data
  }
}
