// The names are those of codi_plugin.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CPluginABI
import PluginKit

/// Fills what a mask marks: the condition is the picture with its holes in grey beside the mask, the finish returns every
/// pixel that was known.
private final class Inpainting {
  let host: Host
  /// Probability that a training mask is made of boxes instead of brush strokes.
  let boxShare: Float

  init(_ host: Host, _ parameters: Parameters) throws(PluginError) {
    var parameters = parameters
    self.host = host
    boxShare = Float(try parameters.number("box-share", default: 0.4, in: 0...1))
    try parameters.refuseOthers()
  }

  static func of(_ task: OpaquePointer?) throws(PluginError) -> Inpainting {
    guard let task else { throw PluginError(CODI_FAILED, "No instance was given.") }
    return Unmanaged.fromOpaque(UnsafeRawPointer(task)).takeUnretainedValue()
  }

  /// Picture and mask, which hold what `output` covers.
  static func inputs(
    _ inputs: UnsafePointer<codi_view>?, _ count: Int32, for output: codi_view, channels: Int
  ) throws(PluginError) -> (image: codi_view, mask: codi_view) {
    guard let inputs, count == 2 else { throw .region("Inpainting takes a picture and a mask.") }
    try output.require("output region", channels: channels)
    try inputs[0].require("image", channels: 3, columns: output.columns, rows: output.rows)
    try inputs[1].require("mask", channels: 1, columns: output.columns, rows: output.rows)
    for input in [inputs[0], inputs[1]]
    where input.full_width != output.full_width || input.full_height != output.full_height {
      throw .region("The picture, its mask and the result must have one size.")
    }
    return (inputs[0], inputs[1])
  }

  /// Whether a mask's value marks a pixel to fill; what is not a number does not.
  static func isHole(_ value: Float) -> Bool { value >= 0.5 }

  /// Limited to 0...1; not a number becomes 0.
  static func limited(_ value: Float) -> Float { value > 0 ? (value < 1 ? value : 1) : 0 }
}

@c @implementation
public func codi_task_create(
  _ host: UnsafePointer<codi_host>?, _ parameters: UnsafePointer<codi_parameter>?, _ parameterCount: Int32,
  _ seed: UInt64, _ task: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    let instance = try Inpainting(Host(host), Parameters(parameters, count: parameterCount))
    task?.pointee = OpaquePointer(Unmanaged.passRetained(instance).toOpaque())
  }
}

@c @implementation
public func codi_task_destroy(_ task: OpaquePointer?) {
  guard let task else { return }
  Unmanaged<Inpainting>.fromOpaque(UnsafeRawPointer(task)).release()
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
    let (image, mask) = try Inpainting.inputs(inputs, inputCount, for: condition, channels: 4)
    for row in condition.rows {
      let to = condition.start(ofRow: row)
      let colours = image.start(ofRow: row) + (Int(condition.x) - Int(image.x)) * 3
      let marks = mask.start(ofRow: row) + (Int(condition.x) - Int(mask.x))
      for column in 0..<Int(condition.width) {
        let isHole = Inpainting.isHole(marks[column])
        // What lies in a hole must not be seen: the middle of the range is nothing.
        for c in 0..<3 { to[4 * column + c] = isHole ? 0.5 : Inpainting.limited(colours[3 * column + c]) }
        to[4 * column + 3] = isHole ? 1 : 0
      }
    }
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
    let (image, mask) = try Inpainting.inputs(inputs, inputCount, for: output, channels: 3)
    try result.require("result", channels: 3, columns: output.columns, rows: output.rows)
    for row in output.rows {
      let to = output.start(ofRow: row)
      let known = image.start(ofRow: row) + (Int(output.x) - Int(image.x)) * 3
      let made = result.start(ofRow: row) + (Int(output.x) - Int(result.x)) * 3
      let marks = mask.start(ofRow: row) + (Int(output.x) - Int(mask.x))
      for column in 0..<Int(output.width) {
        let isHole = Inpainting.isHole(marks[column])
        for i in 3 * column..<3 * column + 3 { to[i] = isHole ? Inpainting.limited(made[i]) : known[i] }
      }
    }
  }
}

@c @implementation
public func codi_task_degrade(
  _ task: OpaquePointer?, _ clean: UnsafePointer<codi_batch>?, _ keys: UnsafePointer<codi_key>?,
  _ inputs: UnsafeMutablePointer<codi_batch>?, _ inputCount: Int32, _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    let task = try Inpainting.of(task)
    guard let clean = clean?.pointee, let keys, let inputs, inputCount == 2, clean.channels == 3,
      inputs[0].channels == 3, inputs[1].channels == 1
    else { throw .region("Clean RGB pictures make pictures and masks.") }
    for input in [inputs[0], inputs[1]]
    where input.count != clean.count || input.width != clean.width || input.height != clean.height || input.width <= 0 {
      throw .region("Pictures and masks have the clean pictures' size.")
    }
    for index in 0..<Int(clean.count) {
      try task.host.checkCancelled()
      let picture = inputs[0].sample(index)
      for i in 0..<clean.sampleCount {
        // As a user's file has them.
        picture.data[i] = (Inpainting.limited(clean.data[index * clean.sampleCount + i]) * 255).rounded() / 255
      }
      var random = Random(task.host, key: keys[index])
      HoleMask(boxShare: task.boxShare).draw(into: inputs[1].sample(index), &random)
    }
  }
}
