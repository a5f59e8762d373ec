public import Tensor

/// Makes named parameters, with random values that depend on the seed and the name alone, and remembers them in order.
public final class ParameterFactory {
  /// `nil`: weights are loaded next, and making random ones would take longer than loading.
  private let noise: NoiseStream?
  private var prefix: [String] = []
  public private(set) var parameters: [Parameter] = []

  private let root: String

  /// - Parameters:
  ///   - seed: of the values; `nil` leaves them as they come, until they are loaded.
  ///   - scope: put before every name; values do not depend on it.
  public init(seed: UInt64?, scope: String = "") {
    noise = seed.map { NoiseStream(seed: $0, digest: []) }
    root = scope
  }

  /// Runs `body` with `name.` before every name.
  func scope<R>(_ name: String, _ body: () -> R) -> R {
    prefix.append(name)
    defer { prefix.removeLast() }
    return body()
  }

  func constant(_ name: String, _ shape: [Int], _ value: Float) -> Parameter { keep(name, .full(shape, value)) }

  /// Normal values of standard deviation `gain / √(fan-in)`, all but the first dimension being the fan-in.
  func normal(_ name: String, _ shape: [Int], gain: Float) -> Parameter {
    guard let noise else { return keep(name, .unset(shape)) }
    let full = (prefix + [name]).joined(separator: ".")
    let fanIn = shape.dropFirst().reduce(1, *)
    let stream = NoiseStream(seed: noise.key, digest: Array(full.utf8))
    let values = stream.normal(draw: 0, height: shape[0], width: fanIn, channels: 1).floats()
    let scale = gain / Float(fanIn).squareRoot()
    // The count is the shape's product by construction.
    guard let tensor = try? Tensor(values.map { $0 * scale }, shape: shape) else {
      preconditionFailure("\(full): \(values.count) values for \(shape)")
    }
    return keep(name, tensor)
  }

  private func keep(_ name: String, _ value: Tensor) -> Parameter {
    let parameter = Parameter(name: root + (prefix + [name]).joined(separator: "."), value)
    parameters.append(parameter)
    return parameter
  }
}
