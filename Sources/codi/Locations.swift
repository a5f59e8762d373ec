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

  /// The registry asked for, else `$CODI_REGISTRY`, else the one that came with the program.
  static func registry(_ given: String?, _ network: Network) throws -> BundleRegistry {
    if let given { return try registry(named: given, network) }
    if let set = ProcessInfo.processInfo.environment["CODI_REGISTRY"], !set.isEmpty {
      return try registry(named: set, network)
    }
    return try embedded()
  }

  /// A registry by an address, a name that `codi registry add` gave it, or a folder.
  /// - Parameter create: whether to make an empty one where a folder holds none.
  static func registry(named text: String, _ network: Network, create: Bool = false) throws -> BundleRegistry {
    if text == ConfiguredRegistries.embedded { return try embedded() }
    let address = try RegistryAddress(address(text), allowsPlain: network.allowsPlain)
    return try BundleRegistry(address, network, create: create)
  }

  /// What a configured name stands for; anything else stands for itself.
  static func address(_ text: String) throws -> String { try store.registries().registries[text] ?? text }

  /// The installed one (`PREFIX/share/codi/registry`), else that of the checkout which the program was built in.
  static func embedded() throws -> BundleRegistry {
    guard let folder = embeddedFolder else {
      throw Exit.Failure(
        exit: .notFound,
        description: "No registry came with this program (looked beside \(executableFolder.path)). "
          + "Name one with --registry, or reinstall with make install.")
    }
    return try BundleRegistry(path: folder, isEmbedded: true)
  }

  static var embeddedFolder: String? {
    var candidates = [executableFolder.deletingLastPathComponent().appending(path: "share/codi/registry")]
    var folder = executableFolder
    while folder.path != "/" {
      candidates.append(folder.appending(path: "registry"))
      folder = folder.deletingLastPathComponent()
    }
    return candidates.map(\.path).first { FileManager.default.fileExists(atPath: "\($0)/oci-layout") }
  }

  /// The library of a task that came with the program: beside it in a checkout, else in `PREFIX/lib/codi`.
  static func taskLibrary(_ task: String) throws -> String {
    let installed = executableFolder.deletingLastPathComponent().appending(path: "lib/codi")
    let candidates = [executableFolder, installed].map { $0.appending(path: "lib\(task).so").path }
    guard let found = candidates.first(where: FileManager.default.fileExists(atPath:)) else {
      throw Exit.Failure(
        exit: .notFound,
        description: "There is no library for the task \(task) (looked for \(candidates.joined(separator: " and "))). "
          + "Build it with .ci/build-plugin \(task) FOLDER and name it: --library FOLDER/lib\(task).so.")
    }
    return found
  }

  static var store: Store { Store(program: program) }
}
