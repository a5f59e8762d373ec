import Bundles
import Foundation
import Registry

/// Where the program finds things that came with it.
enum Locations {
  static let program = SemanticVersion(Version.current) ?? SemanticVersion(0, 0, 0)

  /// The folder of the running executable, symbolic links resolved.
  static var executableFolder: URL {
    let path =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return URL(filePath: path).deletingLastPathComponent()
  }

  /// The registry asked for, else `$CODI_REGISTRY`, else the installed one (`PREFIX/share/codi/registry`), else that of the
  /// checkout which the program was built in.
  static func registry(_ given: String?) throws -> OCILayout {
    if let given { return try open(given, "--registry") }
    if let set = ProcessInfo.processInfo.environment["CODI_REGISTRY"], !set.isEmpty {
      return try open(set, "CODI_REGISTRY")
    }
    var candidates = [executableFolder.deletingLastPathComponent().appending(path: "share/codi/registry")]
    var folder = executableFolder
    while folder.path != "/" {
      candidates.append(folder.appending(path: "registry"))
      folder = folder.deletingLastPathComponent()
    }
    let found = candidates.first { FileManager.default.fileExists(atPath: $0.appending(path: "oci-layout").path) }
    guard let found else {
      throw Exit.Failure(
        exit: .notFound,
        description: "No registry came with this program (looked beside \(executableFolder.path)). "
          + "Name one with --registry FOLDER, or reinstall with make install.")
    }
    return try OCILayout(path: found.path, isEmbedded: true)
  }

  private static func open(_ path: String, _ source: String) throws -> OCILayout {
    guard FileManager.default.fileExists(atPath: "\(path)/oci-layout") else {
      throw Exit.Failure(
        exit: .notFound,
        description: "\(path): There is no registry in this folder, which \(source) names. "
          + "Name one that has an oci-layout file; codi publish makes them.")
    }
    return try OCILayout(path: path)
  }

  static var store: Store { Store(program: program) }
}
