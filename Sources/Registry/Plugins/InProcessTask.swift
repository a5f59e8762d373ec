internal import Bundles
internal import CPluginABI
internal import Synchronization

/// An instance in this process: for training, and for bundles whose key the user marked so.
final class InProcessTask: Sendable {
  let library: PluginLibrary
  private let services: HostServices
  /// The table outlives the instance; it is written once, before the instance exists.
  nonisolated(unsafe) private let table: UnsafeMutablePointer<codi_host>
  /// The instance; the lock keeps to one call at a time.
  private let instance: Mutex<Handle>

  private struct Handle: @unchecked Sendable {
    var task: OpaquePointer?
  }

  init(
    _ library: PluginLibrary, parameters: [String: ParameterValue], seed: UInt64, services: HostServices
  ) throws(PluginError) {
    self.library = library
    self.services = services
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
        .failed, at: "\(library.descriptor.path): create", "It reported success without an instance.",
        remedy: PluginError.publisher)
    }
    let handle = Handle(task: task)
    instance.withLock { $0 = handle }
  }

  deinit {
    if let task = instance.withLock({ $0.task }) { library.functions.destroy(task) }
    table.deallocate()
  }

  func outputSize(width: Int32, height: Int32) throws(PluginError) -> (width: Int32, height: Int32) {
    var (outputWidth, outputHeight): (Int32, Int32) = (0, 0)
    try call("output_size") { functions, task, error in
      functions.outputSize(task, width, height, &outputWidth, &outputHeight, error)
    }
    return (outputWidth, outputHeight)
  }

  func prepare(_ inputs: [PictureRegion], _ condition: inout PictureRegion) throws(PluginError) {
    try withViews("prepare", inputs, &condition) { functions, task, inputs, views, condition, error in
      functions.prepare(task, views, inputs, condition, error)
    }
  }

  func finish(
    _ inputs: [PictureRegion], _ result: PictureRegion, _ output: inout PictureRegion
  ) throws(PluginError) {
    try withViews("finish", inputs + [result], &output) { functions, task, count, views, finished, error in
      functions.finish(task, views, count - 1, views + Int(count - 1), finished, error)
    }
  }

  func degrade(
    _ clean: [Float], _ picture: TaskPlugin.InputSize, keys: [SampleKey], inputs: [TaskPlugin.InputSize]
  ) throws(PluginError) -> [[Float]] {
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
          data: clean.baseAddress, count: Int32(keys.count), height: Int32(picture.height), width: Int32(picture.width),
          channels: Int32(picture.channels))
        return functions.degrade(task, &batch, keys, &batches, Int32(inputs.count), error)
      }
    }
    offset = 0
    return counts.map { count in
      defer { offset += count }
      return Array(block[offset..<offset + count])
    }
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
    throw PluginError(status: status, message, at: "\(library.descriptor.path): \(name)")
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
