internal import CPluginABI

/// What a plugin says of itself in the data symbol `codi_plugin`, checked before any of its functions is called.
public struct PluginDescriptor: Sendable, Hashable {
  /// The absolute path of the library.
  public let path: String
  /// The task, as named in the descriptor and the manifest.
  public let task: String
  /// Version of the plugin's code.
  public let version: String
  /// Output pixels that `prepare` and `finish` need around a region.
  public let halo: Int

  /// What a manifest promises about its plugin.
  public struct Wanted: Sendable, Hashable {
    /// `plugin.abi`.
    public var abi: Int
    /// The manifest's `task`; `nil` when there is no manifest to compare with.
    public var task: String?
    /// `geometry.halo` in `tile` mode, output pixels; `nil` in `whole` mode.
    public var halo: Int?

    public init(abi: Int, task: String?, halo: Int?) {
      self.abi = abi
      self.task = task
      self.halo = halo
    }

    /// Compares the ABI; before the library is opened, because that runs its constructors.
    func checkABI(path: String) throws(PluginError) {
      guard abi != Int(CODI_PLUGIN_ABI) else { return }
      throw PluginError(
        .abi, at: path, "The manifest says plugin.abi \(abi), this program speaks \(CODI_PLUGIN_ABI).",
        remedy: abi > Int(CODI_PLUGIN_ABI) ? "Update codi." : "Install a newer version of the adapter.")
    }
  }

  /// Reads the symbol's bytes.
  /// - Throws: `descriptor`; the reason names the field, the wanted and the found.
  init(_ descriptor: codi_plugin_descriptor, path: String, wanted: Wanted) throws(PluginError) {
    let head = descriptor.head
    try Self.check(head, path: path)
    let name = withUnsafeBytes(of: head.name) { Self.text(Array($0)) }
    guard let name, wanted.task == nil || name == wanted.task else {
      throw Self.mismatch(path, "name", wanted: wanted.task ?? "a name", found: name ?? "a text without end")
    }
    guard let version = withUnsafeBytes(of: head.version, { Self.text(Array($0)) }), !version.isEmpty else {
      throw Self.mismatch(path, "version", wanted: "a version", found: "none, or a text without end")
    }
    if let halo = wanted.halo, descriptor.halo > UInt32(clamping: halo) {
      throw Self.mismatch(path, "halo", wanted: "at most the manifest's \(halo)", found: "\(descriptor.halo)")
    }
    let functions: [(String, Bool)] = [
      ("create", descriptor.create != nil), ("destroy", descriptor.destroy != nil),
      ("output_size", descriptor.output_size != nil), ("prepare", descriptor.prepare != nil),
      ("finish", descriptor.finish != nil), ("degrade", descriptor.degrade != nil),
    ]
    for (field, isPresent) in functions where !isPresent {
      throw Self.mismatch(path, field, wanted: "a function", found: "null")
    }
    self.path = path
    self.task = name
    self.version = version
    self.halo = Int(descriptor.halo)
  }

  /// Checks magic, ABI and size.
  static func check(_ head: codi_plugin_head, path: String) throws(PluginError) {
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
