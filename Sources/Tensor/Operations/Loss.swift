internal import CKernels
internal import Glibc

/// What a sample's mean squared error `m` counts for.
///
/// Both robust ones take the whole sample as one vector `u` of `n` numbers, as their papers do: with `c = width · √n` they
/// are functions of `m = ‖u‖² / n`.
public enum ErrorMetric: Sendable, Hashable {
  case squares
  /// `√(m + width²) − width`: pseudo-Huber, arXiv:2310.14189v2, §3.3, divided by `√n`.
  case pseudoHuber(width: Float)
  /// `ln(1 + m / (2 width²))`: Cauchy, arXiv:2502.01441v1, §4.1.
  case cauchy(width: Float)

  /// What `m` counts for.
  func value(_ m: Double) -> Double {
    switch self {
    case .squares: return m
    case .pseudoHuber(let width):
      // The difference of two roots without cancellation.
      let c = Double(width)
      return m / ((m + c * c).squareRoot() + c)
    case .cauchy(let width): return log1p(m / (2 * Double(width) * Double(width)))
    }
  }

  /// Its derivative by `m`.
  func slope(_ m: Double) -> Double {
    switch self {
    case .squares: 1
    case .pseudoHuber(let width): 0.5 / (m + Double(width) * Double(width)).squareRoot()
    case .cauchy(let width): 1 / (2 * Double(width) * Double(width) + m)
    }
  }
}

extension Tensor {
  /// Weighted mean error, a float32 scalar: `Σᵢ wᵢ · ρ(mean((xᵢ − yᵢ)²)) / B` over the samples `i` of the batch, where `ρ` is
  /// the metric; by default the mean squared error.
  ///
  /// - Parameter weights: one for each sample, or one for all.
  /// - Returns: the scalar on the tape, and each sample's unweighted error, for logs.
  public func squaredError(
    to y: Tensor, weights: [Float] = [1], metric: ErrorMetric = .squares
  ) throws(TensorError) -> (loss: Tensor, each: [Float]) {
    try requireSame(as: y, "squaredError")
    let batch = shape.first ?? 0
    guard batch > 0, weights.count == 1 || weights.count == batch else {
      throw TensorError(
        .shape, "squaredError", "\(weights.count) weights do not fit \(shape).",
        remedy: "Pass one weight, or one for each sample.")
    }
    let n = count / batch
    let (a, b) = (detached, y.detached)
    let squares = [Float](unsafeUninitializedCapacity: batch) { buffer, initialised in
      nonisolated(unsafe) let to = buffer
      parallel(batch, cost: n) { range in
        for i in range {
          var sum = 0.0
          ck_sum_squares(a.dtype.kernel, a.pointer(at: i * n), b.pointer(at: i * n), ck_int(n), &sum)
          to[i] = Float(sum / Double(n))
        }
      }
      initialised = batch
    }
    let each = metric == .squares ? squares : squares.map { Float(metric.value(Double($0))) }
    let total = zip(each.indices, each).reduce(0.0) {
      $0 + Double(weights.count == 1 ? weights[0] : weights[$1.0]) * Double($1.1)
    }
    var loss = Tensor.full([], Float(total / Double(batch)))
    guard let tape = Tape.current, slot != nil || y.slot != nil else { return (loss, each) }
    let (xSlot, ySlot) = (slot, y.slot)
    tape.record(&loss) { (g: Tensor) throws(TensorError) in
      let factor = 2 * g.scalar / (Float(batch) * Float(n))
      let up =
        metric == .squares
        ? weights.map { $0 * factor }
        : squares.indices.map {
          (weights.count == 1 ? weights[0] : weights[$0]) * factor * Float(metric.slope(Double(squares[$0])))
        }
      let down = up.map { -$0 }
      if metric == .squares {
        try xSlot?.add(try Tensor.sum(up, a, down, b))
        try ySlot?.add(try Tensor.sum(down, a, up, b))
        return
      }
      // The difference first: a steep metric would make something of what is rounded off between equal pictures.
      let (d, zeros) = (try a - b, up.map { _ in Float(0) })
      try xSlot?.add(try Tensor.sum(up, d, zeros, d))
      try ySlot?.add(try Tensor.sum(down, d, zeros, d))
    }
    return (loss, each)
  }

  /// The sum of squares of all elements: of runs of a fixed length, added up in order.
  public var squaredNorm: Double {
    let run = 65_536
    let runs = (count + run - 1) / run
    let sums = [Double](unsafeUninitializedCapacity: runs) { buffer, initialised in
      nonisolated(unsafe) let to = buffer
      parallel(runs, cost: run) { range in
        for i in range {
          var sum = 0.0
          ck_sum_squares(dtype.kernel, pointer(at: i * run), nil, ck_int(min(run, count - i * run)), &sum)
          to[i] = sum
        }
      }
      initialised = runs
    }
    return sums.reduce(0, +)
  }

  /// Largest absolute difference from `other`, of the same count.
  public func largestDifference(from other: Tensor) -> Float {
    zip(floats(), other.floats()).reduce(0) { max($0, abs($1.0 - $1.1)) }
  }
}
