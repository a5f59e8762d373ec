public import Bundles
internal import CPluginABI
public import Logging
internal import Synchronization

/// A value for one of a task's parameters; integers and booleans reach the plugin as numbers.
public typealias ParameterValue = Manifest.Parameter.Value

/// One configured instance of a task: the safe face of its C functions, in a process of its own or in this one.
///
/// Calls from several threads wait for each other; make several instances to run at the same time.
public final class TaskPlugin: Sendable {
  /// Size and channels of one input of a sample.
  public typealias InputSize = (width: Int, height: Int, channels: Int)

  private enum Runner {
    case isolated(IsolatedTask)
    case inProcess(InProcessTask)
  }

  public let descriptor: PluginDescriptor
  private let runner: Runner
  /// The last answer of ``outputSize(width:height:)``: every call with pictures needs it, and asking is a turn to the
  /// other process.
  private let lastSize = Mutex<(input: (width: Int, height: Int), output: (width: Int, height: Int))?>(nil)

  /// Starts an isolated process, opens the library there and creates the instance.
  ///
  /// A call in which the process dies, hangs or breaks the contract is an error of that call alone; the next one finds
  /// a new process, until `limits` say that it is enough.
  /// - Parameters:
  ///   - file: the verified library.
  ///   - wanted: what the manifest promises.
  ///   - scale: the manifest's `geometry.scale` in `tile` mode: regions are then cut to what a call needs.
  ///   - parameters: the manifest's parameters with their values.
  ///   - isCancelled: asked during long calls, on their thread.
  /// - Throws: `isolation`, `abi`, `library`, `descriptor`; `parameter` for a value the plugin refuses.
  public init(
    isolated file: PluginFile, wanted: PluginDescriptor.Wanted, scale: Int? = nil,
    parameters: [String: ParameterValue] = [:], seed: UInt64 = 0, limits: PluginLimits = PluginLimits(),
    log: Logger = Logger(label: "codi.plugin"), isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(PluginError) {
    let task = try IsolatedTask(
      IsolatedTask.Settings(
        file: file, wanted: wanted, scale: scale, parameters: parameters, seed: seed, limits: limits),
      services: HostServices(log: log, isCancelled: isCancelled))
    runner = .isolated(task)
    descriptor = task.descriptor
  }

  /// Creates the instance in this process.
  /// - Parameters:
  ///   - parameters: the manifest's parameters with their values, in training also those of the recipe's task section.
  ///   - isCancelled: asked by the plugin during long calls, on their thread.
  /// - Throws: `parameter` for a value the plugin refuses, `failed` otherwise.
  public init(
    _ library: PluginLibrary, parameters: [String: ParameterValue] = [:], seed: UInt64 = 0,
    log: Logger = Logger(label: "codi.plugin"), isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(PluginError) {
    descriptor = library.descriptor
    runner = .inProcess(
      try InProcessTask(
        library, parameters: parameters, seed: seed, services: HostServices(log: log, isCancelled: isCancelled)))
  }

  /// The walls around the plugin's process; `nil` for a plugin in this one.
  public var isolation: IsolationLevel? {
    guard case .isolated(let task) = runner else { return nil }
    return task.level
  }

  /// Size of the finished picture for inputs of `width` × `height`.
  public func outputSize(width: Int, height: Int) throws(PluginError) -> (width: Int, height: Int) {
    if let last = lastSize.withLock({ $0 }), last.input == (width, height) { return last.output }
    let (inputWidth, inputHeight) = (Int32(clamping: width), Int32(clamping: height))
    let size =
      switch runner {
      case .isolated(let task): try task.outputSize(width: inputWidth, height: inputHeight)
      case .inProcess(let task): try task.outputSize(width: inputWidth, height: inputHeight)
      }
    guard size.width > 0, size.height > 0, size.width <= 1 << 30, size.height <= 1 << 30 else {
      throw PluginError(
        .failed, at: "\(descriptor.path): output_size", "It gave a size of \(size.width) x \(size.height).",
        remedy: PluginError.publisher)
    }
    let output = (width: Int(size.width), height: Int(size.height))
    lastSize.withLock { $0 = ((width, height), output) }
    return output
  }

  /// The condition for `region` of the output picture, `channels` values a pixel in 0...1.
  ///
  /// - Parameter inputs: in the manifest's order, each at least ``Region/needed(halo:scale:width:height:)``.
  public func prepare(
    _ inputs: [PictureRegion], region: Region, channels: Int
  ) throws(PluginError) -> PictureRegion {
    var condition = try output(for: inputs, region, channels: channels)
    switch runner {
    case .isolated(let task): try task.prepare(inputs, &condition)
    case .inProcess(let task): try task.prepare(inputs, &condition)
    }
    try checkFinite(condition, "prepare")
    return condition
  }

  /// The finished `region` of the output picture, RGB.
  ///
  /// - Parameters:
  ///   - inputs: as for ``prepare(_:region:channels:)``.
  ///   - result: the network's picture in 0...1: `region` and the halo around it, clamped at the edges, or more.
  public func finish(
    _ inputs: [PictureRegion], result: PictureRegion, region: Region
  ) throws(PluginError) -> PictureRegion {
    var finished = try output(for: inputs, region, channels: 3)
    switch runner {
    case .isolated(let task): try task.finish(inputs, result, &finished)
    case .inProcess(let task): try task.finish(inputs, result, &finished)
    }
    try checkFinite(finished, "finish")
    return finished
  }

  /// The inputs a user would have brought, made of clean pictures `[count, height, width, 3]`; one key per picture. For a
  /// task with an input of kind `depth` they are `[count, height, width, 4]`, the inverse depth behind the colours.
  ///
  /// - Parameter inputs: size and channels of each input of one sample, in the manifest's order.
  /// - Returns: one batch `[count, height, width, channels]` per input.
  public func degrade(
    _ clean: [Float], width: Int, height: Int, keys: [SampleKey], inputs: [InputSize]
  ) throws(PluginError) -> [[Float]] {
    let pixels = keys.count &* width &* height
    let channels = pixels > 0 && clean.count == 4 &* pixels ? 4 : 3
    let picture: InputSize = (width, height, channels)
    let sizes = inputs + [picture]
    guard sizes.allSatisfy({ (1...65536).contains($0.width) && (1...65536).contains($0.height) }),
      inputs.allSatisfy({ (1...1024).contains($0.channels) }), keys.count <= 1 << 20, clean.count == channels &* pixels
    else {
      throw PluginError(
        .region, at: "\(descriptor.path): degrade",
        "\(clean.count) values are not \(keys.count) pictures of \(width) x \(height) with 3 or 4 channels, or an input "
          + "has no size.",
        remedy: "Give one key per clean picture.")
    }
    switch runner {
    case .isolated(let task):
      return try task.degrade(clean, picture, keys: keys, inputs: inputs)
    case .inProcess(let task):
      return try task.degrade(clean, picture, keys: keys, inputs: inputs)
    }
  }

  /// One value that is not a number would spread over the picture unseen.
  private func checkFinite(_ picture: PictureRegion, _ name: String) throws(PluginError) {
    // Not-a-number and the infinities have all bits of the exponent; without a branch this runs at memory's speed.
    var count = 0
    for value in picture.values { count &+= (value.bitPattern & 0x7F80_0000) == 0x7F80_0000 ? 1 : 0 }
    guard count > 0 else { return }
    throw PluginError(
      .contract, at: "\(descriptor.path): \(name)", "\(count) of its values are not a finite number.",
      remedy: PluginError.publisher)
  }

  /// Zeros for `region` of the picture that these inputs become.
  private func output(
    for inputs: [PictureRegion], _ region: Region, channels: Int
  ) throws(PluginError) -> PictureRegion {
    guard let first = inputs.first else {
      throw PluginError(
        .region, at: descriptor.path, "The task got no input.", remedy: "Give every input that the manifest names.")
    }
    let size = try outputSize(width: first.fullWidth, height: first.fullHeight)
    guard (1...size.width).contains(region.width), (1...size.height).contains(region.height),
      (1...1024).contains(channels), region.width * region.height <= (1 << 31) / channels
    else {
      throw PluginError(
        .region, at: descriptor.path,
        "\(region) with \(channels) channels is no region of \(size.width) x \(size.height) pixels.",
        remedy: "Ask for a region of the output picture.")
    }
    return try PictureRegion(
      [Float](repeating: 0, count: region.width * region.height * channels), channels: channels, region: region,
      fullWidth: size.width, fullHeight: size.height)
  }
}
