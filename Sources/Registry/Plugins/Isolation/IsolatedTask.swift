internal import CPluginABI
internal import CSandbox
internal import Synchronization

/// An instance in a process of its own, which is started again after it died.
final class IsolatedTask: Sendable {
  struct Settings: Sendable {
    let file: PluginFile
    let wanted: PluginDescriptor.Wanted
    let scale: Int?
    let parameters: [String: ParameterValue]
    let seed: UInt64
    let limits: PluginLimits
  }

  let descriptor: PluginDescriptor
  let level: IsolationLevel
  private let settings: Settings
  private let services: HostServices
  private let state: Mutex<State>

  private struct State: @unchecked Sendable {
    var process: HostProcess?
    /// Calls one after the other in which the process was lost.
    var failures = 0
  }

  init(_ settings: Settings, services: HostServices) throws(PluginError) {
    self.settings = settings
    self.services = services
    let process = try Self.start(settings, services)
    descriptor = process.descriptor
    level = process.level
    let first = State(process: process)
    state = Mutex(first)
  }

  private static func start(_ settings: Settings, _ services: HostServices) throws(PluginError) -> HostProcess {
    let process = try HostProcess(
      settings.file, wanted: settings.wanted, limits: settings.limits, services: services)
    let answer = try process.create(0, parameters: settings.parameters, seed: settings.seed)
    try check(answer, "create", settings)
    return process
  }

  private static func check(_ answer: HostProcess.Answer, _ name: String, _ settings: Settings) throws(PluginError) {
    guard answer.status != CODI_OK else { return }
    throw PluginError(status: answer.status, answer.message, at: "\(settings.file.path): \(name)")
  }

  /// Runs one call in the process, a new one if need be. What kills the process costs this call alone.
  private func run<Result>(
    _ name: String, _ body: (HostProcess) throws(PluginError) -> (HostProcess.Answer, Result)
  ) throws(PluginError) -> Result {
    try state.withLock { (state) throws(PluginError) in
      guard state.failures < settings.limits.failures else {
        throw PluginError(
          .crashed, at: "\(descriptor.path): \(name)",
          "It failed \(state.failures) times one after the other and is not started again.",
          remedy: "Look at the first failure, and tell the adapter's publisher.")
      }
      do throws(PluginError) {
        if state.process == nil { state.process = try Self.start(settings, services) }
        guard let process = state.process else { throw Self.unavailable(name) }
        let (answer, result) = try body(process)
        // That it can tell a size proves nothing: every call with pictures asks for it first.
        if name != "output_size" { state.failures = 0 }
        try Self.check(answer, name, settings)
        return result
      } catch {
        switch error.code {
        case .crashed, .deadline, .forbidden, .contract, .isolation:
          state.failures += 1
          // Also a process that only wrote beside its output: nobody knows what else it damaged in itself.
          state.process = nil
        default: break
        }
        throw error
      }
    }
  }

  private static func unavailable(_ name: String) -> PluginError {
    PluginError(.isolation, at: name, "There is no process.", remedy: "Run it again.")
  }

  func outputSize(width: Int32, height: Int32) throws(PluginError) -> (width: Int32, height: Int32) {
    try run("output_size") { (process) throws(PluginError) in
      let answer = try process.outputSize(0, width: width, height: height)
      return (answer, answer.size)
    }
  }

  func prepare(_ inputs: [PictureRegion], _ condition: inout PictureRegion) throws(PluginError) {
    let views = inputs.map { view($0, scale: settings.scale, for: condition) }
    let output = SharedView(writing: condition.region, of: condition)
    condition.values = try run("prepare") { (process) throws(PluginError) in
      let (answer, values) = try process.compute(CH_PREPARE, 0, inputs: views, outputs: [output])
      return (answer, values.first ?? [])
    }
  }

  func finish(
    _ inputs: [PictureRegion], _ result: PictureRegion, _ finished: inout PictureRegion
  ) throws(PluginError) {
    let views =
      inputs.map { view($0, scale: settings.scale, for: finished) }
      + [view(result, scale: settings.scale == nil ? nil : 1, for: finished)]
    let output = SharedView(writing: finished.region, of: finished)
    finished.values = try run("finish") { (process) throws(PluginError) in
      let (answer, values) = try process.compute(CH_FINISH, 0, inputs: views, outputs: [output])
      return (answer, values.first ?? [])
    }
  }

  func degrade(
    _ clean: [Float], _ picture: TaskPlugin.InputSize, keys: [SampleKey], inputs: [TaskPlugin.InputSize]
  ) throws(PluginError) -> [[Float]] {
    let source = SharedView(
      batch: keys.count, width: picture.width, height: picture.height, channels: picture.channels)
    let targets = inputs.map {
      SharedView(batch: keys.count, width: $0.width, height: $0.height, channels: $0.channels)
    }
    return try run("degrade") { (process) throws(PluginError) in
      try process.degrade(0, clean: (source, clean), keys: keys.map(\.raw), inputs: targets)
    }
  }

  /// What a call for `output` needs of a picture: no more is copied.
  private func view(_ picture: PictureRegion, scale: Int?, for output: PictureRegion) -> SharedView {
    guard let scale else { return SharedView(picture) }
    let needed = output.region.needed(
      halo: descriptor.halo, scale: scale, width: picture.fullWidth, height: picture.fullHeight)
    let (x, y) = (max(needed.x, picture.region.x), max(needed.y, picture.region.y))
    let (right, bottom) = (
      min(needed.x + needed.width, picture.region.x + picture.region.width),
      min(needed.y + needed.height, picture.region.y + picture.region.height)
    )
    guard right > x, bottom > y else { return SharedView(picture) }
    return SharedView(picture, part: Region(x: x, y: y, width: right - x, height: bottom - y))
  }
}
