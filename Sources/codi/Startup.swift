import Foundation

enum Startup {
  /// Swift would replace what is no UTF-8, and a file of another name be read or written.
  static func checkArguments() throws {
    for (number, argument) in UnsafeBufferPointer(start: CommandLine.unsafeArgv, count: Int(CommandLine.argc))
      .enumerated()
    {
      guard let argument, String(validatingCString: argument) == nil else { continue }
      throw Exit.Failure(
        exit: .usage,
        description:
          "argument \(number), \(String(cString: argument).debugDescription), is not UTF-8, as names must be here: "
          + "rename the file.")
    }
  }

  /// Restarts the program once with settings that libraries read when they are loaded.
  ///
  /// `OMP_WAIT_POLICY=passive`: idle helpers sleep instead of spinning, so that decoding and encoding get the cores.
  static func useOneQuietThreadPool() {
    guard getenv("OMP_WAIT_POLICY") == nil else { return }
    setenv("OMP_WAIT_POLICY", "passive", 1)
    // The real path keeps the program's name in process lists.
    let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "/proc/self/exe"
    execv(path, CommandLine.unsafeArgv)
    // Without /proc the program goes on with the default policy: slower beside other work, otherwise the same.
  }
}
