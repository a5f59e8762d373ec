// The names are those of codi_plugin.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CPluginABI
import PluginKit

/// Sharpens and enlarges photographs four times: the condition is the picture enlarged, the finish keeps what the user
/// brought.
private final class SuperResolution {
  static let scale = 4

  let host: Host
  let strength: Float
  let degradation: Degradation

  init(_ host: Host, _ parameters: Parameters) throws(PluginError) {
    var parameters = parameters
    self.host = host
    strength = Float(try parameters.number("strength", default: 1, in: 0...1))
    let bicubicShare = try parameters.number("bicubic-share", default: 0.5, in: 0...1)
    degradation = Degradation(host: host, bicubicShare: Float(bicubicShare))
    try parameters.refuseOthers()
  }

  static func of(_ task: OpaquePointer?) throws(PluginError) -> SuperResolution {
    guard let task else { throw PluginError(CODI_FAILED, "No instance was given.") }
    return Unmanaged.fromOpaque(UnsafeRawPointer(task)).takeUnretainedValue()
  }

  /// The one input, checked against a region of the output picture.
  static func input(
    _ inputs: UnsafePointer<codi_view>?, _ count: Int32, for output: codi_view
  ) throws(PluginError) -> codi_view {
    guard let inputs, count == 1 else { throw .region("Super-resolution takes one picture.") }
    let input = inputs[0]
    try input.require("image", channels: 3)
    try output.require("output region", channels: 3)
    guard Int(output.full_width) == Int(input.full_width) * scale,
      Int(output.full_height) == Int(input.full_height) * scale
    else { throw .region("The output picture must be \(scale) times the image's size.") }
    return input
  }
}

@c @implementation
public func codi_task_create(
  _ host: UnsafePointer<codi_host>?, _ parameters: UnsafePointer<codi_parameter>?, _ parameterCount: Int32,
  _ seed: UInt64, _ task: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    let instance = try SuperResolution(Host(host), Parameters(parameters, count: parameterCount))
    task?.pointee = OpaquePointer(Unmanaged.passRetained(instance).toOpaque())
  }
}

@c @implementation
public func codi_task_destroy(_ task: OpaquePointer?) {
  guard let task else { return }
  Unmanaged<SuperResolution>.fromOpaque(UnsafeRawPointer(task)).release()
}

@c @implementation
public func codi_task_output_size(
  _ task: OpaquePointer?, _ width: Int32, _ height: Int32, _ outputWidth: UnsafeMutablePointer<Int32>?,
  _ outputHeight: UnsafeMutablePointer<Int32>?, _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    let scale = Int32(SuperResolution.scale)
    guard width > 0, height > 0, width <= Int32.max / scale, height <= Int32.max / scale else {
      throw .region("A picture of \(width) x \(height) cannot be enlarged \(scale) times.")
    }
    outputWidth?.pointee = width * scale
    outputHeight?.pointee = height * scale
  }
}

@c @implementation
public func codi_task_prepare(
  _ task: OpaquePointer?, _ inputs: UnsafePointer<codi_view>?, _ inputCount: Int32,
  _ condition: UnsafeMutablePointer<codi_view>?, _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    guard let condition = condition?.pointee else { throw .region("No condition to fill.") }
    try enlarge(SuperResolution.input(inputs, inputCount, for: condition), into: condition)
  }
}

@c @implementation
public func codi_task_finish(
  _ task: OpaquePointer?, _ inputs: UnsafePointer<codi_view>?, _ inputCount: Int32,
  _ result: UnsafePointer<codi_view>?, _ output: UnsafeMutablePointer<codi_view>?,
  _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    guard let result = result?.pointee, let output = output?.pointee else { throw .region("No output to fill.") }
    let input = try SuperResolution.input(inputs, inputCount, for: output)
    guard result.full_width == output.full_width, result.full_height == output.full_height else {
      throw .region("The result and the output are of different pictures.")
    }
    let strength = try SuperResolution.of(task).strength
    try backProject(result, onto: input, into: output, strength: strength)
  }
}

@c @implementation
public func codi_task_degrade(
  _ task: OpaquePointer?, _ clean: UnsafePointer<codi_batch>?, _ keys: UnsafePointer<codi_key>?,
  _ inputs: UnsafeMutablePointer<codi_batch>?, _ inputCount: Int32, _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    let task = try SuperResolution.of(task)
    let scale = Int32(SuperResolution.scale)
    guard let clean = clean?.pointee, let keys, let input = inputs?.pointee, inputCount == 1,
      clean.channels == 3, input.channels == 3, clean.count == input.count, input.width > 0, input.height > 0,
      clean.width / scale == input.width, clean.height / scale == input.height,
      clean.width % scale == 0, clean.height % scale == 0
    else { throw .region("Clean RGB pictures make as many inputs, \(scale) times smaller.") }
    for index in 0..<Int(clean.count) {
      try task.host.checkCancelled()
      var random = Random(task.host, key: keys[index])
      try task.degradation.apply(clean.sample(index), into: input.sample(index), &random)
    }
  }
}
