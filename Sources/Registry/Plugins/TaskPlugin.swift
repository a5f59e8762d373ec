public import Bundles
internal import CPluginABI
public import Logging
internal import Synchronization

/// A value for one of a task's parameters; integers and booleans reach the plugin as numbers.
public typealias ParameterValue = Manifest.Parameter.Value

/// One configured instance of a task: the safe face of its C functions.
///
/// Calls from several threads wait for each other; make several instances to run at the same time.
public final class TaskPlugin: Sendable {
  public let library: PluginLibrary
  private let services: HostServices
  /// The table outlives the instance; it is written once, before the instance exists.
  nonisolated(unsafe) private let table: UnsafeMutablePointer<codi_host>
  /// The instance; the lock keeps to one call at a time.
  private let instance: Mutex<Handle>

  private struct Handle: @unchecked Sendable {
    var task: OpaquePointer?
  }

  /// Creates the instance.
  /// - Parameters:
  ///   - parameters: the manifest's parameters with their values, in training also those of the recipe's task section.
  ///   - isCancelled: asked by the plugin during long calls, on their thread.
  /// - Throws: `parameter` for a value the plugin refuses, `failed` otherwise.
  public init(
    _ library: PluginLibrary, parameters: [String: ParameterValue] = [:], seed: UInt64 = 0,
    log: Logger = Logger(label: "codi.plugin"), isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(PluginError) {
    self.library = library
    services = HostServices(log: log, isCancelled: isCancelled)
    table = .allocate(capacity: 1)
    table.initialize(to: services.table())
    instance = Mutex(Handle(task: nil))

    let arguments = ParameterList(parameters)
    var task: OpaquePointer?
    try Self.check(library, "create") {
      error in
      withExtendedLifetime(arguments) {
        library.functions.create(table, arguments.items.baseAddress, Int32(arguments.items.count), seed, &task, error)
      }
    }
    guard let task else {
      throw PluginError(
        .failed, at: "\(library.path): create", "It reported success without an instance.",
        remedy: "Tell the adapter's publisher.")
    }
    let handle = Handle(task: task)
    instance.withLock { $0 = handle }
  }

  deinit {
    if let task = instance.withLock({ $0.task }) { library.functions.destroy(task) }
    table.deallocate()
  }

  /// Size of the finished picture for inputs of `width` × `height`.
  public func outputSize(width: Int, height: Int) throws(PluginError) -> (width: Int, height: Int) {
    var outputWidth: Int32 = 0
    var outputHeight: Int32 = 0
    try call("output_size") { functions, task, error in
      functions.outputSize(
        task, Int32(clamping: width), Int32(clamping: height), &outputWidth, &outputHeight, error)
    }
    guard outputWidth > 0, outputHeight > 0, outputWidth <= 1 << 30, outputHeight <= 1 << 30 else {
      throw PluginError(
        .failed, at: "\(library.path): output_size", "It gave a size of \(outputWidth) x \(outputHeight).",
        remedy: "Tell the adapter's publisher.")
    }
    return (Int(outputWidth), Int(outputHeight))
  }

  /// The condition for `region` of the output picture, `channels` values a pixel in 0...1.
  ///
  /// - Parameter inputs: in the manifest's order, each at least ``Region/needed(halo:scale:width:height:)``.
  public func prepare(
    _ inputs: [PictureRegion], region: Region, channels: Int
  ) throws(PluginError) -> PictureRegion {
    var condition = try output(for: inputs, region, channels: channels)
    try withViews("prepare", inputs, &condition) { functions, task, inputs, views, condition, error in
      functions.prepare(task, views, inputs, condition, error)
    }
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
    try withViews("finish", inputs + [result], &finished) { functions, task, count, views, finished, error in
      functions.finish(task, views, count - 1, views + Int(count - 1), finished, error)
    }
    return finished
  }

  /// The inputs a user would have brought, made of clean pictures `[count, height, width, 3]`; one key per picture.
  ///
  /// - Parameter inputs: size and channels of each input of one sample, in the manifest's order.
  /// - Returns: one batch `[count, height, width, channels]` per input.
  public func degrade(
    _ clean: [Float], width: Int, height: Int, keys: [SampleKey],
    inputs: [(width: Int, height: Int, channels: Int)]
  ) throws(PluginError) -> [[Float]] {
    let sizes = inputs + [(width: width, height: height, channels: 3)]
    guard sizes.allSatisfy({ (1...65536).contains($0.width) && (1...65536).contains($0.height) }),
      inputs.allSatisfy({ (1...1024).contains($0.channels) }), keys.count <= 1 << 20,
      clean.count == keys.count * width * height * 3
    else {
      throw PluginError(
        .region, at: "\(library.path): degrade",
        "\(clean.count) values are not \(keys.count) pictures of \(width) x \(height) x 3, or an input has no size.",
        remedy: "Give one key per clean picture.")
    }
    let keys = keys.map(\.raw)
    let counts = inputs.map { keys.count * $0.width * $0.height * $0.channels }
    // One block for all inputs: no nest of closures, one owner.
    let block = UnsafeMutableBufferPointer<Float>.allocate(capacity: counts.reduce(0, +))
    defer { block.deallocate() }
    block.initialize(repeating: 0)
    var batches: [codi_batch] = []
    var offset = 0
    for (input, count) in zip(inputs, counts) {
      batches.append(
        codi_batch(
          data: block.baseAddress.map { $0 + offset }, count: Int32(keys.count), height: Int32(input.height),
          width: Int32(input.width), channels: Int32(input.channels)))
      offset += count
    }
    var clean = clean
    try call("degrade") { functions, task, error in
      clean.withUnsafeMutableBufferPointer { clean in
        var batch = codi_batch(
          data: clean.baseAddress, count: Int32(keys.count), height: Int32(height), width: Int32(width), channels: 3)
        return functions.degrade(task, &batch, keys, &batches, Int32(inputs.count), error)
      }
    }
    offset = 0
    return counts.map { count in
      defer { offset += count }
      return Array(block[offset..<offset + count])
    }
  }

  /// Zeros for `region` of the picture that these inputs become.
  private func output(
    for inputs: [PictureRegion], _ region: Region, channels: Int
  ) throws(PluginError) -> PictureRegion {
    guard let first = inputs.first else {
      throw PluginError(
        .region, at: library.path, "The task got no input.", remedy: "Give every input that the manifest names.")
    }
    let size = try outputSize(width: first.fullWidth, height: first.fullHeight)
    guard (1...size.width).contains(region.width), (1...size.height).contains(region.height),
      (1...1024).contains(channels), region.width * region.height <= (1 << 31) / channels
    else {
      throw PluginError(
        .region, at: library.path,
        "\(region) with \(channels) channels is no region of \(size.width) x \(size.height) pixels.",
        remedy: "Ask for a region of the output picture.")
    }
    return try PictureRegion(
      [Float](repeating: 0, count: region.width * region.height * channels), channels: channels, region: region,
      fullWidth: size.width, fullHeight: size.height)
  }

  private typealias ViewCall = (
    PluginFunctions, OpaquePointer?, Int32, UnsafePointer<codi_view>, UnsafeMutablePointer<codi_view>,
    UnsafeMutablePointer<CChar>
  ) -> Int32

  /// Calls with views of `inputs`, in order, and of `output`.
  private func withViews(
    _ name: String, _ inputs: [PictureRegion], _ output: inout PictureRegion, _ body: ViewCall
  ) throws(PluginError) {
    let shape = output
    try call(name) { functions, task, error in
      output.values.withUnsafeMutableBufferPointer { values in
        var view = shape.view(values.baseAddress)
        return Self.collectViews(inputs[...], []) { views in
          views.withUnsafeBufferPointer { views in
            guard let first = views.baseAddress else { return CODI_BAD_REGION }
            return body(functions, task, Int32(views.count), first, &view, error)
          }
        }
      }
    }
  }

  /// Pins one input after the other.
  private static func collectViews(
    _ inputs: ArraySlice<PictureRegion>, _ views: [codi_view], _ body: ([codi_view]) -> Int32
  ) -> Int32 {
    guard let next = inputs.first else { return body(views) }
    return next.values.withUnsafeBufferPointer { values in
      // The plugin only reads inputs: the contract says so.
      let view = next.view(UnsafeMutablePointer(mutating: values.baseAddress))
      return collectViews(inputs.dropFirst(), views + [view], body)
    }
  }

  private func call(
    _ name: String, _ body: (PluginFunctions, OpaquePointer?, UnsafeMutablePointer<CChar>) -> Int32
  ) throws(PluginError) {
    try instance.withLock { (handle) throws(PluginError) in
      try Self.check(library, name) { body(library.functions, handle.task, $0) }
    }
  }

  /// Runs one function and throws what it reports.
  private static func check(
    _ library: PluginLibrary, _ name: String, _ function: (UnsafeMutablePointer<CChar>) -> Int32
  ) throws(PluginError) {
    let size = Int(CODI_ERROR_SIZE)
    var status = CODI_OK
    let message = withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { error -> String in
      error.initialize(repeating: 0)
      guard let start = error.baseAddress else { return "" }
      status = function(start)
      error[size - 1] = 0
      return String(cString: start)
    }
    guard status != CODI_OK else { return }
    let code: PluginError.Code
    var remedy = "Tell the adapter's publisher."
    switch status {
    case CODI_BAD_PARAMETER: (code, remedy) = (.parameter, "`codi info` lists the adapter's parameters.")
    case CODI_BAD_REGION: code = .region
    case CODI_CANCELLED: (code, remedy) = (.cancelled, "Run it again.")
    case CODI_OUT_OF_MEMORY: (code, remedy) = (.outOfMemory, "Use smaller tiles or fewer workers.")
    default: code = .failed
    }
    throw PluginError(
      code, at: "\(library.path): \(name)", message.isEmpty ? "It failed with status \(status)." : message,
      remedy: remedy)
  }
}

/// The parameters as the plugin sees them, in the order of their names; frees its strings at the end.
private final class ParameterList {
  let items: UnsafeMutableBufferPointer<codi_parameter>
  private var strings: [UnsafeMutablePointer<CChar>] = []

  init(_ parameters: [String: ParameterValue]) {
    items = .allocate(capacity: parameters.count)
    for (index, parameter) in parameters.sorted(by: { $0.key < $1.key }).enumerated() {
      var item = codi_parameter(name: copy(parameter.key), text: nil, number: 0, kind: CODI_NUMBER)
      var text = ""
      switch parameter.value {
      case .number(let value): item.number = value
      case .integer(let value): item.number = Double(value)
      case .boolean(let value): item.number = value ? 1 : 0
      case .text(let value): (text, item.kind) = (value, CODI_TEXT)
      }
      item.text = copy(text)
      items.initializeElement(at: index, to: item)
    }
  }

  deinit {
    for string in strings { string.deallocate() }
    items.deallocate()
  }

  private func copy(_ text: String) -> UnsafePointer<CChar> {
    let bytes = text.utf8CString
    let string = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
    for (index, byte) in bytes.enumerated() { string[index] = byte }
    strings.append(string)
    return UnsafePointer(string)
  }
}

extension PictureRegion {
  /// The C view of these values at `data`; sizes were checked by the initialiser.
  fileprivate func view(_ data: UnsafeMutablePointer<Float>?) -> codi_view {
    codi_view(
      data: data, row_stride: Int64(region.width * channels), width: Int32(region.width),
      height: Int32(region.height), channels: Int32(channels), x: Int32(region.x), y: Int32(region.y),
      full_width: Int32(fullWidth), full_height: Int32(fullHeight))
  }
}
