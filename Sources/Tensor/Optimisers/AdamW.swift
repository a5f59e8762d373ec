internal import CKernels

/// AdamW with decoupled weight decay (arXiv:1711.05101v3, Algorithm 2), with a running average of the weights.
///
/// State is float32, one entry a parameter, in the parameters' order. Confined to the compute thread.
public final class AdamW {
  public struct Options: Codable, Hashable, Sendable {
    public var beta1: Float = 0.9
    public var beta2: Float = 0.99
    public var epsilon: Float = 1e-8
    public var weightDecay: Float = 0.01
    /// Gradients are scaled down to this norm over all parameters; 0 means never.
    public var clip: Float = 1
    public init() {}
  }

  /// One parameter with its state.
  public struct Entry {
    public let parameter: Parameter
    /// Multiplies the learning rate, for example for μ.
    public var rateFactor: Float
    /// First and second moments and the running average of the weights, each of the parameter's shape.
    public let first, second, average: Tensor
  }

  public let options: Options
  public private(set) var entries: [Entry]
  /// Updates done so far.
  public var step = 0

  public init(_ parameters: [Parameter], _ options: Options, rateFactor: (Parameter) -> Float = { _ in 1 }) {
    self.options = options
    entries = parameters.map { parameter in
      let average = Tensor(uninitialised: parameter.shape, .f32)
      average.base.copyMemory(from: parameter.value.base, byteCount: average.byteCount)
      return Entry(
        parameter: parameter, rateFactor: rateFactor(parameter), first: .zeros(parameter.shape),
        second: .zeros(parameter.shape), average: average)
    }
  }

  /// One update of all parameters, and of their running averages with `averageDecay` (0 copies the weights).
  /// - Returns: the norm of the gradients before clipping.
  /// - Throws: `TensorError` when a parameter has no gradient, or when the norm is not finite; nothing is changed then.
  @discardableResult
  public func update(_ gradients: Gradients, rate: Float, averageDecay: Float) throws(TensorError) -> Float {
    var squares = 0.0
    for entry in entries {
      guard let g = gradients[entry.parameter] else {
        throw TensorError(
          .range, "AdamW", "parameter \"\(entry.parameter.name)\" got no gradient.",
          remedy: "The loss must depend on it, or it must be frozen and left out of the optimiser.")
      }
      squares += g.squaredNorm
    }
    let norm = Float(squares.squareRoot())
    guard norm.isFinite else {
      throw TensorError(
        .range, "AdamW", "the gradients' norm is \(norm).",
        remedy: "Lower the learning rate, or resume before this step.")
    }
    step += 1
    let scale = options.clip > 0 && norm > options.clip ? options.clip / norm : 1
    let correction1 = 1 / (1 - Self.power(options.beta1, step))
    let correction2 = 1 / (1 - Self.power(options.beta2, step))
    for entry in entries {
      guard let g = gradients[entry.parameter] else { continue }
      let isMatrix = entry.parameter.shape.count > 1
      entry.parameter.update { weights in
        nonisolated(unsafe) let weights = weights
        parallel(g.count, cost: 8) { range in
          let i = range.lowerBound
          ck_adamw(
            weights + i, g.floatPointer + i, entry.first.floatPointer + i, entry.second.floatPointer + i,
            entry.average.floatPointer + i, scale, rate * entry.rateFactor, options.beta1, options.beta2, correction1,
            correction2, options.epsilon, isMatrix ? options.weightDecay : 0, averageDecay, ck_int(range.count))
        }
      }
    }
    return norm
  }

  private static func power(_ base: Float, _ exponent: Int) -> Float {
    var result = 1.0
    var (b, e) = (Double(base), exponent)
    while e > 0 {
      if e & 1 == 1 { result *= b }
      b *= b
      e >>= 1
    }
    return Float(result)
  }
}
