import Tensor
import Testing

/// A parameter of normal values that depend on `name` alone.
func random(_ name: String, _ shape: [Int], scale: Float = 1) -> Parameter {
  let stream = NoiseStream(seed: 42, digest: Array(name.utf8))
  let count = shape.reduce(1, *)
  let values = stream.normal(draw: 0, height: 1, width: count, channels: 1).floats().map { $0 * scale }
  do { return Parameter(name: name, try Tensor(values, shape: shape)) } catch { preconditionFailure("\(error)") }
}

/// Holds the tape's gradients of `mean((body() − target)²)` against central differences, at up to 16 places a parameter.
func checkGradients(
  of parameters: [Parameter], tolerance: Float = 5e-3, step: Float = 1e-2, _ body: () throws -> Tensor,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let output = try body()
  let target = random("target", output.shape).value
  func lossInDouble() throws -> Double {
    let (x, y) = (try body().floats(), target.floats())
    return zip(x, y).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) } / Double(x.count)
  }
  let (_, gradients) = try withGradients {
    try body().squaredError(to: target).loss
  }
  for parameter in parameters {
    let gradient = try #require(
      gradients[parameter], "\(parameter.name) got no gradient", sourceLocation: sourceLocation)
    #expect(gradient.shape == parameter.shape, sourceLocation: sourceLocation)
    let analytic = gradient.floats()
    let original = parameter.value
    let values = original.floats()
    let largest = analytic.map(abs).max() ?? 0
    #expect(largest > 0, "\(parameter.name) has a zero gradient", sourceLocation: sourceLocation)
    for place in stride(from: 0, to: values.count, by: max(1, values.count / 16)) {
      var moved = values
      moved[place] = values[place] + step
      try parameter.assign(try Tensor(moved, shape: parameter.shape))
      let up = try lossInDouble()
      moved[place] = values[place] - step
      try parameter.assign(try Tensor(moved, shape: parameter.shape))
      let down = try lossInDouble()
      try parameter.assign(original)
      let numeric = Float((up - down) / (2 * Double(step)))
      #expect(
        abs(numeric - analytic[place]) <= tolerance * max(largest, 1e-4),
        "\(parameter.name)[\(place)]: numeric \(numeric), tape \(analytic[place])", sourceLocation: sourceLocation)
    }
  }
}
