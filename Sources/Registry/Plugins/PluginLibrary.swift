internal import CPluginABI
internal import Glibc

/// A task's shared library, opened in this process and checked; it stays loaded until the process ends.
public struct PluginLibrary: Sendable {
  /// The ABI version this program speaks.
  public static let abi = Int(CODI_PLUGIN_ABI)

  public let descriptor: PluginDescriptor
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
    let wanted = PluginDescriptor.Wanted(abi: abi, task: task, halo: halo)
    try wanted.checkABI(path: path)
    guard path.hasPrefix("/") else {
      throw PluginError(.library, at: path, "The path is not absolute.", remedy: "Give the path from the root folder.")
    }
    guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      throw Self.unopened(path, dlerror().map { String(cString: $0) } ?? "unknown")
    }
    guard let symbol = dlsym(handle, "codi_plugin") else {
      throw PluginError(
        .library, at: path, "The library exports no `codi_plugin`.",
        remedy: "Build it with the macro CODI_PLUGIN of codi_plugin.h.")
    }
    // A descriptor of another ABI may be shorter: nothing behind the head is read before the head is judged.
    try PluginDescriptor.check(symbol.loadUnaligned(as: codi_plugin_head.self), path: path)
    let raw = symbol.loadUnaligned(as: codi_plugin_descriptor.self)
    descriptor = try PluginDescriptor(raw, path: path, wanted: wanted)
    functions = try PluginFunctions(raw, path: path)
  }

  static func unopened(_ path: String, _ reason: String) -> PluginError {
    PluginError(
      .library, at: path, "The library cannot be opened: \(reason).",
      remedy: "Reinstall the adapter; `codi info` lists the platforms it has a plugin for.")
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
        throw PluginDescriptor.mismatch(path, field, wanted: "a function", found: "null")
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
