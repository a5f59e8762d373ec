internal import Bundles
internal import CPluginABI
internal import CSandbox
internal import Logging

/// The library under test, and calls of it with pictures made from a seed.
struct ConformanceSubject: Sendable {
  let file: PluginFile
  let profile: Conformance.Profile
  let seed: UInt64
  let calls: Int

  /// Starts a process without an instance.
  func start(secondThread: Bool = false, isCancelled: @escaping @Sendable () -> Bool = { false }) throws -> HostProcess
  {
    var limits = PluginLimits()
    limits.seconds = 20
    limits.secondsPerMillionValues = 5
    limits.hasSecondThread = secondThread
    return try HostProcess(
      file, wanted: PluginDescriptor.Wanted(abi: PluginLibrary.abi, task: profile.task, halo: profile.halo),
      limits: limits,
      services: HostServices(
        log: Logger(label: "codi.plugin") { _ in SwiftLogNoOpLogHandler() }, isCancelled: isCancelled))
  }

  /// Starts a process with instances 0 and 1 of the default parameters.
  func running(secondThread: Bool = false, isCancelled: @escaping @Sendable () -> Bool = { false }) throws
    -> HostProcess
  {
    let process = try start(secondThread: secondThread, isCancelled: isCancelled)
    for instance: UInt32 in [0, 1] {
      try require(try process.create(instance, parameters: defaults, seed: seed), "create with the default parameters")
    }
    return process
  }

  var defaults: [String: ParameterValue] {
    var values: [String: ParameterValue] = [:]
    for parameter in profile.parameters { values[parameter.name] = parameter.default.text.flatMap(parameter.value) }
    return values
  }

  /// Throws unless the function succeeded.
  func require(_ answer: HostProcess.Answer, _ what: String) throws {
    guard answer.status != CODI_OK else { return }
    throw Conformance.Broken(reason: "\(what) gave status \(answer.status): \(answer.message)")
  }

  func outputSize(_ process: HostProcess, _ width: Int, _ height: Int) throws -> (width: Int, height: Int) {
    let answer = try process.outputSize(0, width: Int32(clamping: width), height: Int32(clamping: height))
    try require(answer, "output_size of \(width) x \(height)")
    guard answer.size.width > 0, answer.size.height > 0 else {
      throw Conformance.Broken(
        reason: "output_size of \(width) x \(height) is \(answer.size.width) x \(answer.size.height).")
    }
    return (Int(answer.size.width), Int(answer.size.height))
  }

  /// The inputs for a picture of this size: smooth shading and grain in 0...1.
  func inputs(_ width: Int, _ height: Int, _ draw: UInt64 = 0) throws -> [PictureRegion] {
    try profile.inputs.enumerated().map { index, channels in
      try PictureRegion(
        values(width, height, channels, draw: draw &* 16 &+ UInt64(index)), width: width, height: height,
        channels: channels)
    }
  }

  func values(_ width: Int, _ height: Int, _ channels: Int, draw: UInt64) -> [Float] {
    var values = [Float](repeating: 0, count: width * height * channels)
    values.withUnsafeMutableBufferPointer { KeyedRandom.fill($0, SampleKey(low: seed, high: draw), from: 0) }
    for y in 0..<height {
      for x in 0..<width {
        let shade = Float(x + 2 * y) / Float(width + 2 * height)
        for channel in 0..<channels { values[(y * width + x) * channels + channel] *= 0.2 }
        for channel in 0..<channels { values[(y * width + x) * channels + channel] += 0.8 * shade }
      }
    }
    return values
  }

  /// How one call is laid out in memory.
  struct Layout {
    var instance: UInt32 = 0
    var second: UInt32 = 0
    var padding = 0
    var fill: Float = 0
    /// Inputs cut to what the contract promises for the region.
    var cut = false
  }

  /// Calls `prepare` for a region of the output of `inputs`.
  func prepare(
    _ process: HostProcess, _ inputs: [PictureRegion], region: Region? = nil, _ layout: Layout = Layout()
  ) throws -> [[Float]] {
    let call = try views(process, inputs, result: nil, region, layout)
    let (answer, values) = try process.compute(
      CH_PREPARE, layout.instance, second: layout.second, inputs: call.inputs, outputs: call.outputs)
    try require(answer, "prepare of \(call.what)")
    return values
  }

  /// Calls `finish` with a result of the network made from the seed.
  func finish(
    _ process: HostProcess, _ inputs: [PictureRegion], region: Region? = nil, _ layout: Layout = Layout()
  ) throws -> [[Float]] {
    let size = try outputSize(process, inputs[0].fullWidth, inputs[0].fullHeight)
    let result = try PictureRegion(
      values(size.width, size.height, 3, draw: 999), width: size.width, height: size.height)
    let call = try views(process, inputs, result: result, region, layout)
    let (answer, values) = try process.compute(
      CH_FINISH, layout.instance, second: layout.second, inputs: call.inputs, outputs: call.outputs)
    try require(answer, "finish of \(call.what)")
    return values
  }

  private func views(
    _ process: HostProcess, _ inputs: [PictureRegion], result: PictureRegion?, _ region: Region?, _ layout: Layout
  ) throws -> (inputs: [SharedView], outputs: [SharedView], what: String) {
    guard let first = inputs.first else { throw Conformance.Skipped(reason: "The task has no input.") }
    let size = try outputSize(process, first.fullWidth, first.fullHeight)
    let region = region ?? Region(x: 0, y: 0, width: size.width, height: size.height)
    let scale = size.width / first.fullWidth
    func part(_ picture: PictureRegion, _ scale: Int) -> SharedView {
      let needed = region.needed(
        halo: process.descriptor.halo, scale: max(1, scale), width: picture.fullWidth, height: picture.fullHeight)
      var view = SharedView(picture, part: layout.cut ? needed : nil)
      view.padding = layout.padding
      return view
    }
    let whole = Region(x: 0, y: 0, width: size.width, height: size.height)
    let channels = result == nil ? profile.conditionChannels : 3
    let shape = try PictureRegion(
      [Float](repeating: 0, count: channels), channels: channels, region: Region(x: 0, y: 0, width: 1, height: 1),
      fullWidth: whole.width, fullHeight: whole.height)
    var output = SharedView(writing: region, of: shape)
    output.padding = layout.padding
    output.fill = layout.fill
    let outputs = layout.second == 0 ? [output] : [output, output]
    let what = "\(region.width) x \(region.height) at (\(region.x), \(region.y)) of \(size.width) x \(size.height)"
    return (inputs.map { part($0, scale) } + (result.map { [part($0, 1)] } ?? []), outputs, what)
  }

  /// Throws unless both are the same bits.
  func requireSame(_ a: [Float], _ b: [Float], _ what: String) throws {
    guard a.count == b.count else { throw Conformance.Broken(reason: "\(what): different sizes.") }
    let different = zip(a, b).reduce(0) { $0 + ($1.0.bitPattern == $1.1.bitPattern ? 0 : 1) }
    guard different > 0 else { return }
    throw Conformance.Broken(reason: "\(what): \(different) of \(a.count) values differ.")
  }
}
