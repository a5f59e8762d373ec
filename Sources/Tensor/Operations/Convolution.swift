/// Zero padding of a convolution, the same on both axes.
public enum Padding: Sendable, Hashable {
  /// `(K − 1) / 2` on every side.
  case half
  /// So many zeros before and after.
  case explicit(Int, Int)
}

extension Tensor {
  /// Convolution (cross-correlation) of `[B, H, W, I]` with `weight`, `[O, I / groups, K, K]`.
  ///
  /// The output `[B, H', W', O]` has the input's dtype; products are summed in float32. `residual`, of the output's shape,
  /// is added in the same pass.
  /// - Throws: `TensorError` naming both shapes when they do not fit, or what oneDNN refuses.
  public func conv2d(
    _ weight: Parameter, bias: Parameter? = nil, stride: Int = 1, padding: Padding = .half, groups: Int = 1,
    adding residual: Tensor? = nil
  ) throws(TensorError) -> Tensor {
    try require(rank: 4, "conv2d")
    let w = weight.shape
    guard w.count == 4, w[1] * max(1, groups) == shape[3], w[2] == w[3] else {
      throw TensorError(
        .shape, "conv2d", "input \(shape) does not fit weight \"\(weight.name)\" \(w) in \(groups) group(s).",
        remedy: "The input's last dimension must be \(w.count > 1 ? w[1] * groups : 0).")
    }
    // Both are divided by.
    guard stride > 0, groups > 0, w[0] % groups == 0 else {
      throw TensorError(
        .range, "conv2d", "stride \(stride) and \(groups) group(s) do not fit input \(shape) and weight \(w).",
        remedy: "Both are at least 1, and the groups divide the channels of input and output.")
    }
    let (low, high): (Int, Int) =
      switch padding {
      case .half: ((w[2] - 1) / 2, (w[2] - 1) / 2)
      case .explicit(let low, let high): (low, high)
      }
    let outHeight = (shape[1] + low + high - w[2]) / stride + 1
    let outWidth = (shape[2] + low + high - w[2]) / stride + 1
    guard outHeight > 0, outWidth > 0, shape[0] > 0 else {
      throw TensorError(
        .shape, "conv2d", "input \(shape) is smaller than kernel \(w[2]) with padding \(low), \(high).",
        remedy: "Use a larger picture.")
    }
    if let bias, bias.shape != [w[0]] {
      throw TensorError(
        .shape, "conv2d", "bias \"\(bias.name)\" is \(bias.shape), weight \"\(weight.name)\" is \(w).",
        remedy: "The bias must be [\(w[0])].")
    }
    var out = Tensor(uninitialised: [shape[0], outHeight, outWidth, w[0]], dtype)
    try residual?.requireSame(as: out, "conv2d")

    var key = ConvolutionPlan.Key(
      batch: shape[0], height: shape[1], width: shape[2], inChannels: shape[3], outChannels: w[0], kernel: w[2],
      stride: stride, padLow: low, padHigh: high, groups: groups, dtype: dtype, part: 0, hasBias: bias != nil,
      addsResidual: residual != nil)
    let plan = try ConvolutionPlan.plan(key)
    try plan.forward(self, try weight.packed(for: plan), bias: bias?.value, residual: residual, into: out)

    guard let tape = Tape.current else { return out }
    let (inSlot, residualSlot) = (slot, residual?.slot)
    let (weightSlot, biasSlot) = (tape.slot(for: weight), bias.flatMap { tape.slot(for: $0) })
    guard inSlot != nil || residualSlot != nil || weightSlot != nil || biasSlot != nil else { return out }
    key.addsResidual = false
    // The input is kept only where the weights learn.
    let x: Tensor? = weightSlot != nil || biasSlot != nil ? detached : nil
    let inShape = shape
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      try residualSlot?.add(g)
      if let x {
        let dw = Tensor(uninitialised: w, .f32)
        let db: Tensor? = key.hasBias ? Tensor(uninitialised: [w[0]], .f32) : nil
        if let own = WeightGradient(key) {
          own.compute(x, g, into: dw, db)
        } else {
          key.part = 2
          try ConvolutionPlan.plan(key).backwardWeights(x, g, into: dw, db)
        }
        try weightSlot?.add(dw)
        if let db { try biasSlot?.add(db) }
      }
      if let inSlot {
        key.part = 1
        key.hasBias = false
        let plan = try ConvolutionPlan.plan(key)
        let dx = Tensor(uninitialised: inShape, g.dtype)
        try plan.backwardData(g, try weight.packed(for: plan), into: dx)
        try inSlot.add(dx)
      }
    }
    return out
  }
}
