// The names are those of codi_plugin.h, which says what each function must do.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CPluginABI
import PluginKit

/// The task @NAME@.
private final class Task {
  let host: Host
  let strength: Float

  init(_ host: Host, _ parameters: Parameters) throws(PluginError) {
    var parameters = parameters
    self.host = host
    strength = Float(try parameters.number("strength", default: 1, in: 0...1))
    try parameters.refuseOthers()
  }

  static func of(_ task: OpaquePointer?) throws(PluginError) -> Task {
    guard let task else { throw PluginError(CODI_FAILED, "No instance was given.") }
    return Unmanaged.fromOpaque(UnsafeRawPointer(task)).takeUnretainedValue()
  }
}

private func clamp(_ value: Float) -> Float { value > 0 ? min(value, 1) : 0 }

/// The row of `view` at row `row` of the whole picture, from the first column of `region` on.
private func start(_ view: codi_view, _ row: Int, _ region: codi_view) -> UnsafeMutablePointer<Float> {
  view.start(ofRow: row) + (Int(region.x) - Int(view.x)) * 3
}

@c @implementation
public func codi_task_create(
  _ host: UnsafePointer<codi_host>?, _ parameters: UnsafePointer<codi_parameter>?, _ parameterCount: Int32,
  _ seed: UInt64, _ task: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    let made = try Task(Host(host), Parameters(parameters, count: parameterCount))
    task?.pointee = OpaquePointer(Unmanaged.passRetained(made).toOpaque())
  }
}

@c @implementation
public func codi_task_destroy(_ task: OpaquePointer?) {
  guard let task else { return }
  Unmanaged<Task>.fromOpaque(UnsafeRawPointer(task)).release()
}

@c @implementation
public func codi_task_output_size(
  _ task: OpaquePointer?, _ width: Int32, _ height: Int32, _ outputWidth: UnsafeMutablePointer<Int32>?,
  _ outputHeight: UnsafeMutablePointer<Int32>?, _ error: UnsafeMutablePointer<CChar>?
) -> Int32 {
  attempt(error) { () throws(PluginError) in
    guard width > 0, height > 0 else { throw .region("A picture has at least one pixel.") }
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
    let task = try Task.of(task)
    guard let input = inputs?.pointee, let condition = condition?.pointee, inputCount == 1 else {
      throw .region("One picture is needed.")
    }
    try condition.require("condition", channels: 3)
    try input.require("image", channels: 3, columns: condition.columns, rows: condition.rows)
    for row in condition.rows {
      try task.host.checkCancelled()
      let (from, to) = (start(input, row, condition), condition.start(ofRow: row))
      for index in 0..<condition.columns.count * 3 { to[index] = clamp(from[index]) }
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
    let task = try Task.of(task)
    guard let input = inputs?.pointee, let result = result?.pointee, let output = output?.pointee, inputCount == 1
    else { throw .region("One picture and a result are needed.") }
    try output.require("output", channels: 3)
    try input.require("image", channels: 3, columns: output.columns, rows: output.rows)
    try result.require("result", channels: 3, columns: output.columns, rows: output.rows)
    for row in output.rows {
      try task.host.checkCancelled()
      let (before, made) = (start(input, row, output), start(result, row, output))
      let to = output.start(ofRow: row)
      for index in 0..<output.columns.count * 3 {
        to[index] = clamp(task.strength * clamp(made[index]) + (1 - task.strength) * clamp(before[index]))
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
    let task = try Task.of(task)
    guard let clean = clean?.pointee, let keys, let input = inputs?.pointee, inputCount == 1, input.channels == 3,
      clean.channels == 3, input.width == clean.width, input.height == clean.height, input.count == clean.count
    else { throw .region("The input must be an RGB picture of the clean one's size.") }
    for sample in 0..<Int(clean.count) {
      try task.host.checkCancelled()
      var random = Random(task.host, key: keys[sample])
      let factor = random.uniform(in: 0.25...1)
      let (from, to) = (clean.sample(sample), input.sample(sample))
      for index in 0..<clean.sampleCount { to.data[index] = clamp(from.data[index] * factor) }
    }
  }
}
