internal import CPluginABI
internal import Glibc

/// A task's shared library, opened and checked; it stays loaded until the process ends.
public struct PluginLibrary: Sendable {
  /// The ABI version this program speaks.
  public static let abi = Int(CODI_PLUGIN_ABI)

  /// The absolute path it was loaded from.
  public let path: String
  /// The task, as named in the descriptor and the manifest.
  public let task: String
  /// Version of the plugin's code.
  public let version: String
  /// Output pixels that `prepare` and `finish` need around a region.
  public let halo: Int
  let functions: PluginFunctions

  /// Opens the library and checks its descriptor before any of its functions is called.
  ///
  /// Constructors in the library run while it is opened, so the manifest's ABI is compared before that.
  /// - Parameters:
  ///   - path: absolute path of the verified file.
  ///   - abi: the manifest's `plugin.abi`.
  ///   - task: the manifest's `task`.
  ///   - halo: the manifest's `geometry.halo` in `tile` mode, output pixels; `nil` in `whole` mode.
  /// - Throws: `abi`, `library` or `descriptor`; for the last the reason names the field, the wanted and the found.
  public init(path: String, abi: Int, task: String, halo: Int?) throws(PluginError) {
    guard abi == Self.abi else {
      throw PluginError(
        .abi, at: path, "The manifest says plugin.abi \(abi), this program speaks \(Self.abi).",
        remedy: abi > Self.abi ? "Update codi." : "Install a newer version of the adapter.")
    }
    guard path.hasPrefix("/") else {
      throw PluginError(.library, at: path, "The path is not absolute.", remedy: "Give the path from the root folder.")
    }
    guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      throw PluginError(
        .library, at: path, "The library cannot be opened: \(dlerror().map { String(cString: $0) } ?? "unknown").",
        remedy: "Reinstall the adapter; `codi info` lists the platforms it has a plugin for.")
    }
    guard let symbol = dlsym(handle, "codi_plugin") else {
      throw PluginError(
        .library, at: path, "The library exports no `codi_plugin`.",
        remedy: "Build it with the macro CODI_PLUGIN of codi_plugin.h.")
    }
    let head = symbol.loadUnaligned(as: codi_plugin_head.self)
    let magic = withUnsafeBytes(of: head.magic) { Array($0) }
    guard magic == Array(CODI_PLUGIN_MAGIC.utf8) + [0] else {
      throw Self.mismatch(path, "magic", wanted: "CODIPLG", found: Self.printable(magic))
    }
    guard head.abi_version == UInt32(CODI_PLUGIN_ABI) else {
      throw Self.mismatch(path, "abi_version", wanted: "\(CODI_PLUGIN_ABI)", found: "\(head.abi_version)")
    }
    let size = MemoryLayout<codi_plugin_descriptor>.size
    guard head.struct_size == UInt32(size) else {
      throw Self.mismatch(path, "struct_size", wanted: "\(size)", found: "\(head.struct_size)")
    }
    let name = withUnsafeBytes(of: head.name) { Self.text(Array($0)) }
    guard let name, name == task else {
      throw Self.mismatch(path, "name", wanted: task, found: name ?? "a text without end")
    }
    guard let version = withUnsafeBytes(of: head.version, { Self.text(Array($0)) }), !version.isEmpty else {
      throw Self.mismatch(path, "version", wanted: "a version", found: "none, or a text without end")
    }
    let descriptor = symbol.loadUnaligned(as: codi_plugin_descriptor.self)
    if let halo, descriptor.halo > UInt32(clamping: halo) {
      throw Self.mismatch(path, "halo", wanted: "at most the manifest's \(halo)", found: "\(descriptor.halo)")
    }
    functions = try PluginFunctions(descriptor, path: path)
    self.path = path
    self.task = task
    self.version = version
    self.halo = Int(descriptor.halo)
  }

  static func mismatch(_ path: String, _ field: String, wanted: String, found: String) -> PluginError {
    PluginError(
      .descriptor, at: path, "The descriptor's \(field) is wrong: wanted \(wanted), found \(found).",
      remedy: "Rebuild the plugin against this program's codi_plugin.h, or install another version of the adapter.")
  }

  /// The text before the first zero byte; `nil` without one.
  private static func text(_ bytes: [UInt8]) -> String? {
    guard let end = bytes.firstIndex(of: 0) else { return nil }
    return String(validating: bytes[..<end], as: UTF8.self)
  }

  private static func printable(_ bytes: [UInt8]) -> String {
    String(decoding: bytes.map { 0x20..<0x7F ~= $0 ? $0 : UInt8(ascii: ".") }, as: UTF8.self)
  }
}

/// The descriptor's functions, all present. Function pointers are values: shared freely between threads.
struct PluginFunctions: Sendable {
  typealias Message = UnsafeMutablePointer<CChar>?

  let create:
    @convention(c) (
      UnsafePointer<codi_host>?, UnsafePointer<codi_parameter>?, Int32, UInt64,
      UnsafeMutablePointer<OpaquePointer?>?, Message
    ) -> Int32
  let destroy: @convention(c) (OpaquePointer?) -> Void
  let outputSize:
    @convention(c) (
      OpaquePointer?, Int32, Int32, UnsafeMutablePointer<Int32>?, UnsafeMutablePointer<Int32>?, Message
    ) -> Int32
  let prepare:
    @convention(c) (
      OpaquePointer?, UnsafePointer<codi_view>?, Int32, UnsafeMutablePointer<codi_view>?, Message
    ) -> Int32
  let finish:
    @convention(c) (
      OpaquePointer?, UnsafePointer<codi_view>?, Int32, UnsafePointer<codi_view>?, UnsafeMutablePointer<codi_view>?,
      Message
    ) -> Int32
  let degrade:
    @convention(c) (
      OpaquePointer?, UnsafePointer<codi_batch>?, UnsafePointer<codi_key>?, UnsafeMutablePointer<codi_batch>?, Int32,
      Message
    ) -> Int32

  init(_ descriptor: codi_plugin_descriptor, path: String) throws(PluginError) {
    func present<Function>(_ function: Function?, _ field: String) throws(PluginError) -> Function {
      guard let function else {
        throw PluginLibrary.mismatch(path, field, wanted: "a function", found: "null")
      }
      return function
    }
    create = try present(descriptor.create, "create")
    destroy = try present(descriptor.destroy, "destroy")
    outputSize = try present(descriptor.output_size, "output_size")
    prepare = try present(descriptor.prepare, "prepare")
    finish = try present(descriptor.finish, "finish")
    degrade = try present(descriptor.degrade, "degrade")
  }
}
