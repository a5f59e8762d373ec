public import Bundles
internal import Foundation

extension PluginLibrary {
  /// Opens the library of an installed adapter for this platform, after comparing it with the bundle's sums.
  ///
  /// - Throws: `PluginError` for a library that does not fit, `BundleError` for files that are not what they were.
  public init(_ bundle: InstalledBundle) throws {
    let wanted = try PluginDescriptor.Wanted(bundle)
    let library = try bundle.library()
    try bundle.check(library, digest: SHA256.hex(ofFile: library.path))
    try self.init(path: library.path, abi: wanted.abi, task: bundle.manifest.task, halo: wanted.halo)
  }
}

extension PluginDescriptor.Wanted {
  /// What an adapter's manifest promises.
  init(_ bundle: InstalledBundle) throws(PluginError) {
    let manifest = bundle.manifest
    guard let plugin = manifest.plugin, let geometry = manifest.geometry else {
      throw PluginError(
        .library, at: "\(manifest.name)@\(manifest.version)", "A core has no plugin.", remedy: "Name an adapter.")
    }
    self.init(abi: plugin.abi, task: manifest.task, halo: geometry.mode == .tile ? geometry.halo : nil)
  }
}

extension InstalledBundle {
  /// Compares one file's digest with `SHA256SUMS`.
  fileprivate func check(_ file: URL, digest: String) throws {
    let path = url(of: BundleEntry.sums).path
    let sums = try SumsFile(parsing: Disk.read(path), source: path)
    let name = String(file.path.dropFirst(directory.path.count).drop { $0 == "/" })
    try sums.check(name, digest: digest, source: directory.path)
  }
}

extension TaskPlugin {
  /// An instance for an installed adapter: every parameter of its manifest with the value given or the default.
  ///
  /// The plugin runs in an isolated process, unless `inProcess`; only a key that the user marked so says that
  /// (``Trust/allowsInProcess(_:publisher:)``).
  /// - Parameter values: from the user, as ``Bundles/Manifest/Parameter/value(of:)`` reads them; in training also the
  ///   recipe's task section.
  /// - Throws: `PluginError`, or `BundleError` for files that are not what they were.
  public convenience init(
    _ bundle: InstalledBundle, values: [String: ParameterValue] = [:], seed: UInt64 = 0, inProcess: Bool = false,
    limits: PluginLimits = PluginLimits(), isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws {
    let all = bundle.manifest.values(values)
    if inProcess {
      try self.init(try PluginLibrary(bundle), parameters: all, seed: seed, isCancelled: isCancelled)
    } else {
      let wanted = try PluginDescriptor.Wanted(bundle)
      let library = try bundle.library()
      let file = try PluginFile(path: library.path) { try bundle.check(library, digest: $0) }
      let geometry = bundle.manifest.geometry
      try self.init(
        isolated: file, wanted: wanted, scale: geometry?.mode == .tile ? geometry?.scale : nil, parameters: all,
        seed: seed, limits: limits, isCancelled: isCancelled)
    }
  }
}

extension Store {
  /// The plugin of an installed adapter, isolated unless the user marked the key that signed it.
  public func plugin(
    of installed: Installed, values: [String: ParameterValue] = [:], seed: UInt64 = 0,
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws -> TaskPlugin {
    let publisher = String(installed.name.prefix { $0 != "/" })
    return try TaskPlugin(
      try open(installed), values: values, seed: seed,
      inProcess: try trust().allowsInProcess(installed.signer, publisher: publisher), isCancelled: isCancelled)
  }
}

extension Manifest {
  /// Every parameter with the value given or the default.
  fileprivate func values(_ given: [String: ParameterValue]) -> [String: ParameterValue] {
    var all = given
    for parameter in parameters where all[parameter.name] == nil {
      all[parameter.name] = parameter.default.text.flatMap(parameter.value)
    }
    return all
  }
}
