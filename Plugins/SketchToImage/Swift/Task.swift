// The names are those of codi_plugin.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CPluginABI
import PluginKit

/// Makes a picture whose edges are the lines of a drawing. The condition says where ink is.
private final class SketchToImage {
  let host: Host
  let lines: Ink.Lines
  /// How much the drawings made for training differ in line and strength; at 0 all are made alike.
  let variety: Float

  init(_ host: Host, _ parameters: Parameters) throws(PluginError) {
    var parameters = parameters
    self.host = host
    lines = [.automatic, .dark, .light][try parameters.choice("lines", of: ["auto", "dark", "light"])]
    variety = Float(try parameters.number("variety", default: 1, in: 0...1))
    try parameters.refuseOthers()
  }

  static func of(_ task: OpaquePointer?) throws(PluginError) -> SketchToImage {
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
    try input.require("sketch", channels: 1)
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
    let instance = try SketchToImage(Host(host), Parameters(parameters, count: parameterCount))
    task?.pointee = OpaquePointer(Unmanaged.passRetained(instance).toOpaque())
  }
}

@c @implementation
public func codi_task_destroy(_ task: OpaquePointer?) {
  guard let task else { return }
  Unmanaged<SketchToImage>.fromOpaque(UnsafeRawPointer(task)).release()
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
    let input = try SketchToImage.input(inputs, inputCount, for: condition, channels: 1)
    Ink(of: input, try SketchToImage.of(task).lines).apply(input, into: condition)
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
    _ = try SketchToImage.input(inputs, inputCount, for: output, channels: 3)
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
    let task = try SketchToImage.of(task)
    guard let clean = clean?.pointee, let keys, let input = inputs?.pointee, inputCount == 1, clean.channels == 3,
      input.channels == 1, clean.count == input.count, input.width == clean.width, input.height == clean.height,
      input.width > 0
    else { throw .region("Clean RGB pictures make drawings of the same size.") }
    for index in 0..<Int(clean.count) {
      try task.host.checkCancelled()
      var random = Random(task.host, key: keys[index])
      let drawing = input.sample(index)
      LineExtractor(variety: task.variety, &random).draw(clean.sample(index), into: drawing)
      if task.lines == .light { for i in 0..<input.sampleCount { drawing.data[i] = 1 - drawing.data[i] } }
    }
  }
}
