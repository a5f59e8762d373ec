/// What pooling takes from each square.
public enum Pooling: Sendable { case largest, mean }

/// Operations that only networks for measuring need: float32, forward only. Their results are off the tape.
extension Tensor {
  /// `min(max(x, 0), limit)`, element by element.
  public func rectified(upTo limit: Float = .infinity) throws(TensorError) -> Tensor {
    try requireFloat("rectified")
    let out = Tensor(uninitialised: shape, .f32)
    let (x, y) = (floatPointer, out.floatPointer)
    parallel(count, cost: 1) { range in
      for i in range { y[i] = min(max(x[i], 0), limit) }
    }
    return out
  }

  /// Largest value or mean of each `window × window` square, `[B, H, W, C] → [B, H', W', C]`.
  ///
  /// What lies outside the picture does not count, in a mean neither. `H' = ⌊(H + 2 padding − window) / stride⌋ + 1`.
  /// - Parameter reachesOver: whether a last square that is not full counts too, so that the quotient is rounded up.
  public func pooled(
    _ kind: Pooling, window: Int, stride: Int, padding: Int = 0, reachesOver: Bool = false
  ) throws(TensorError) -> Tensor {
    try require(rank: 4, "pooled")
    try requireFloat("pooled")
    let (h, w, c) = (shape[1], shape[2], shape[3])
    guard window > 0, (1...window).contains(stride), (0..<window).contains(2 * padding), h + 2 * padding >= window,
      w + 2 * padding >= window
    else {
      throw TensorError(
        .shape, "pooled", "\(shape) has no square of \(window) with stride \(stride) and padding \(padding).",
        remedy: "Use a larger picture, a stride from 1 to the window, and padding below half of it.")
    }
    let more = 2 * padding - window + (reachesOver ? stride - 1 : 0)
    let (rows, columns) = ((h + more) / stride + 1, (w + more) / stride + 1)
    let out = Tensor(uninitialised: [shape[0], rows, columns, c], .f32)
    let (x, y) = (floatPointer, out.floatPointer)
    parallel(shape[0] * rows, cost: columns * c * window * window) { range in
      for row in range {
        let (picture, top) = (row / rows, row % rows * stride - padding)
        let lines = max(0, top)..<min(h, top + window)
        for column in 0..<columns {
          let to = y + (row * columns + column) * c
          let left = column * stride - padding
          let places = max(0, left)..<min(w, left + window)
          to.update(repeating: kind == .mean ? 0 : -.infinity, count: c)
          for line in lines {
            for place in places {
              let from = x + ((picture * h + line) * w + place) * c
              switch kind {
              case .largest: for i in 0..<c { to[i] = max(to[i], from[i]) }
              case .mean: for i in 0..<c { to[i] += from[i] }
              }
            }
          }
          if kind == .mean {
            let share = 1 / Float(lines.count * places.count)
            for i in 0..<c { to[i] *= share }
          }
        }
      }
    }
    return out
  }

  /// Mean over the places of each picture, `[B, H, W, C] → [B, C]`, summed in float64.
  public func meanOverPlaces() throws(TensorError) -> Tensor {
    try require(rank: 4, "meanOverPlaces")
    try requireFloat("meanOverPlaces")
    let (places, c) = (shape[1] * shape[2], shape[3])
    let out = Tensor(uninitialised: [shape[0], c], .f32)
    for b in 0..<shape[0] {
      var sums = [Double](repeating: 0, count: c)
      for place in 0..<places {
        let from = floatPointer + (b * places + place) * c
        for i in 0..<c { sums[i] += Double(from[i]) }
      }
      for i in 0..<c { out.floatPointer[b * c + i] = Float(sums[i] / Double(places)) }
    }
    return out
  }

  private func requireFloat(_ operation: String) throws(TensorError) {
    guard dtype == .f32 else {
      throw TensorError(.dtype, operation, "takes float32, found \(dtype).", remedy: "Convert it with converted(to:).")
    }
  }
}
