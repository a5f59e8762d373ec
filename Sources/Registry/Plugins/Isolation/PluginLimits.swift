internal import CSandbox
internal import Foundation

/// What an isolated plugin may use, and how often it may fail.
public struct PluginLimits: Sendable, Hashable {
  /// Address space of its process in bytes, shared pictures included.
  public var memory: UInt64 = 4 << 30
  /// Seconds a call may take, waiting and processor time alike …
  public var seconds = 60.0
  /// … and more for every million values that it reads and writes.
  public var secondsPerMillionValues = 10.0
  /// Failures one after the other, without a call that went well, after which no new process is started.
  public var failures = 5

  /// Whether Landlock is used; tests leave it out to see what remains.
  package var usesLandlock = true
  /// Whether a second thread stands by, so that two instances can run at the same time; conformance tests only.
  package var hasSecondThread = false

  public init() {}

  func deadline(values: Int) -> Double { seconds + secondsPerMillionValues * Double(values) / 1e6 }
}

/// The walls around a plugin's process that hold on this kernel.
public struct IsolationLevel: Sendable, Hashable {
  /// The Landlock ABI in force: no file can be opened (1), no TCP (4), no signals and abstract sockets (6); 0 without.
  public let landlock: Int
  /// System calls are filtered.
  public let seccomp: Bool
  /// Limits of memory, files and processes hold, and no new privileges.
  public let limits: Bool

  public var isComplete: Bool { landlock >= 1 && seccomp && limits }

  /// One line for people.
  public var description: String {
    [
      seccomp ? "system calls filtered" : "system calls NOT filtered",
      landlock > 0 ? "files closed by Landlock \(landlock)" : "no Landlock: its constructors may read files",
      limits ? "limits hold" : "some limits do NOT hold",
    ].joined(separator: ", ")
  }

  /// Starts a process for plugins with a library that is none, to see which walls it gets.
  /// - Throws: `isolation` when it cannot be started, or system calls cannot be filtered.
  public static func probe() throws(PluginError) -> IsolationLevel { try HostProcess.probe() }

  /// What this kernel offers, without starting anything.
  public static var offered: (landlock: Int, seccomp: Bool) { (Int(cs_landlock_abi()), cs_has_seccomp() != 0) }
}

/// The program that plugins run in.
public enum PluginHost {
  /// `codi-plugin-host` beside the running program.
  public static var path: String {
    let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(filePath: program).deletingLastPathComponent().appending(path: "codi-plugin-host").path
  }

  /// Folders that the dynamic linker may read libraries from: the system's, and where this program's Swift runtime lies
  /// for plugins from the same build.
  static var libraryFolders: [String] {
    var folders = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"]
    if let runtime = cs_library_of("swift_retain") {
      folders.append(URL(filePath: String(cString: runtime)).deletingLastPathComponent().path)
    }
    return folders
  }
}
