// The names are those of codi_plugin.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CPluginABI
import PluginKit

/// Makes a picture that has a given depth. The condition is the inverse depth, stretched to 0...1.
private final class DepthToImage {
  let host: Host
  /// Whether white is far in what the user brings.
  let isInverted: Bool

  init(_ host: Host, _ parameters: Parameters) throws(PluginError) {
    var parameters = parameters
    self.host = host
    isInverted = try parameters.choice("near", of: ["white", "black"]) == 1
    try parameters.refuseOthers()
  }

  static func of(_ task: OpaquePointer?) throws(PluginError) -> DepthToImage {
    guard let task else { throw PluginError(CODI_FAILED, "No instance was given.") }
    return Unmanaged.fromOpaque(UnsafeRawPointer(task)).takeUnretainedValue()
  }

  /// The one input, a whole picture of the output's size.
  static func input(
    _ inputs: UnsafePointer<codi_view>?, _ count: Int32, for output: codi_view, channels: Int
  ) throws(PluginError) -> codi_view {
    guard let inputs, count == 1 else { throw .region("The task takes one picture.") }
    let input = inputs[0]
    try output.require("output", channels: channels)
    try input.require("depth", channels: 1)
    guard input.width == input.full_width, input.height == input.full_height, output.width == input.width,
      output.height == input.height, output.full_width == input.full_width, output.full_height == input.full_height
    else { throw .region("The task works on whole pictures, of one size.") }
    return input
  }
}

@c @implementation
public func codi_task_create(
  _ host: UnsafePointer<codi_host>?, _ parameters: UnsafePointer<codi_parameter>?, _ parameterCount: Int32,
  _ seed: UInt64, _ task: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    let instance = try DepthToImage(Host(host), Parameters(parameters, count: parameterCount))
    task?.pointee = OpaquePointer(Unmanaged.passRetained(instance).toOpaque())
  }
}

@c @implementation
public func codi_task_destroy(_ task: OpaquePointer?) {
  guard let task else { return }
  Unmanaged<DepthToImage>.fromOpaque(UnsafeRawPointer(task)).release()
}

@c @implementation
public func codi_task_output_size(
  _ task: OpaquePointer?, _ width: Int32, _ height: Int32, _ outputWidth: UnsafeMutablePointer<Int32>?,
  _ outputHeight: UnsafeMutablePointer<Int32>?, _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    guard width > 0, height > 0 else { throw .region("There is no picture of \(width) x \(height).") }
    outputWidth?.pointee = width
    outputHeight?.pointee = height
  }
}

@c @implementation
public func codi_task_prepare(
  _ task: OpaquePointer?, _ inputs: UnsafePointer<codi_view>?, _ inputCount: Int32,
  _ condition: UnsafeMutablePointer<codi_view>?, _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    guard let condition = condition?.pointee else { throw .region("No condition to fill.") }
    let input = try DepthToImage.input(inputs, inputCount, for: condition, channels: 1)
    Stretch(of: input, isInverted: try DepthToImage.of(task).isInverted).apply(input, into: condition)
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
    _ = try DepthToImage.input(inputs, inputCount, for: output, channels: 3)
    try result.require("result", channels: 3, columns: output.columns, rows: output.rows)
    for row in output.rows {
      let (to, from) = (output.start(ofRow: row), result.start(ofRow: row) + (Int(output.x) - Int(result.x)) * 3)
      for i in 0..<Int(output.width) * 3 { to[i] = from[i] > 0 ? (from[i] < 1 ? from[i] : 1) : 0 }
    }
  }
}

@c @implementation
public func codi_task_degrade(
  _ task: OpaquePointer?, _ clean: UnsafePointer<codi_batch>?, _ keys: UnsafePointer<codi_key>?,
  _ inputs: UnsafeMutablePointer<codi_batch>?, _ inputCount: Int32, _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    let task = try DepthToImage.of(task)
    guard let clean = clean?.pointee, let keys, let input = inputs?.pointee, inputCount == 1, clean.channels == 4,
      input.channels == 1, clean.count == input.count, input.width == clean.width, input.height == clean.height,
      input.width > 0
    else { throw .region("Clean pictures with their depth, four channels, make depths of the same size.") }
    for index in 0..<Int(clean.count) {
      try task.host.checkCancelled()
      // Files of 8 bits as well as finer ones.
      var random = Random(task.host, key: keys[index])
      let levels: Float = random.uniform() < 0.5 ? 255 : 65_535
      for i in 0..<input.sampleCount {
        let depth = clean.data[index * clean.sampleCount + 4 * i + 3]
        let limited: Float = depth > 0 ? (depth < 1 ? depth : 1) : 0
        let shown = task.isInverted ? 1 - limited : limited
        input.data[index * input.sampleCount + i] = (shown * levels).rounded() / levels
      }
    }
  }
}
