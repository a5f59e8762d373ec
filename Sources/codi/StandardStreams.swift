import Foundation
import Synchronization

/// stdin, stdout and stderr, each of which may be closed, full, or endless.
enum StandardStreams {
  /// Most that is read of a list, in bytes: a million names or objects have room, an endless stream has not.
  static let longestList = 256 << 20

  /// The `errno` of the first answer that could not be written; 0 before.
  private static let failure = Atomic<Int32>(0)

  /// Whether answers on stdout are lost: work for them alone may stop.
  static var answersAreLost: Bool { failure.load(ordering: .relaxed) != 0 }

  /// Gives closed streams a descriptor on which every use fails; else the next file that is opened would be one of them,
  /// and what is said would go into it.
  static func occupy() {
    for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(stream, F_GETFD) < 0 && errno == EBADF {
      // The lowest free number is the stream's own, for those below it are taken by now.
      _ = open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }

  /// Writes to stdout. The first failure is named on stderr, and ends the program with 5 when the command is through.
  static func answer(_ text: String) {
    guard !answersAreLost, let code = write(text, to: STDOUT_FILENO) else { return }
    guard failure.compareExchange(expected: 0, desired: code, ordering: .relaxed).exchanged else { return }
    say("codi: stdout: The answer cannot be written: \(String(cString: strerror(code))). Name a file with room.\n")
  }

  /// Writes to stderr; where that cannot be, nobody listens.
  static func say(_ text: String) { _ = write(text, to: STDERR_FILENO) }

  /// All of `text`, or the `errno` that it failed with.
  private static func write(_ text: String, to stream: Int32) -> Int32? {
    var text = text
    return text.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while !rest.isEmpty {
        let count = Glibc.write(stream, rest.baseAddress, rest.count)
        if count < 0, errno == EINTR { continue }
        if count < 0, errno == EAGAIN {
          // Whoever shares the stream made it non-blocking.
          var waiting = pollfd(fd: stream, events: Int16(POLLOUT), revents: 0)
          poll(&waiting, 1, -1)
          continue
        }
        guard count > 0 else { return count < 0 ? errno : EIO }
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
      }
      return nil
    }
  }

  /// A list on stdin, or in a file or pipe.
  /// - Parameter path: nil for stdin.
  /// - Throws: `notFound` for a file that does not exist; `badInput` for what cannot be read, and for one that is longer
  ///   than `longestList`.
  static func list(at path: String? = nil) throws -> Data {
    let name = path ?? "stdin"
    let file = try path.map { path throws in
      let file = open(path, O_RDONLY | O_CLOEXEC)
      guard file >= 0 else { throw unreadable(path, errno) }
      return file
    }
    defer { if let file { close(file) } }
    var data = Data()
    var part = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = read(file ?? STDIN_FILENO, &part, part.count)
      if count < 0, errno == EINTR, !Interruption.isRequested { continue }
      guard count >= 0 else { throw unreadable(name, errno) }
      if count == 0 { return data }
      data.append(contentsOf: part[..<count])
      guard data.count <= longestList else {
        throw Exit.Failure(
          exit: .badInput,
          description: "\(name): The list is longer than the \(longestList >> 20) MiB that are read. Split it.")
      }
    }
  }

  private static func unreadable(_ name: String, _ code: Int32) -> Exit.Failure {
    Exit.Failure(
      exit: code == ENOENT ? .notFound : .badInput,
      description: "\(name) cannot be read: \(String(cString: strerror(code))). "
        + (name == "stdin" ? "Pipe the list into codi, or name a file." : "Name a file of pictures, or - for stdin."))
  }
}
