internal import CKernels

extension Tensor {
  /// Channels of `self`, then of `other`: `[B, H, W, C] , [B, H, W, D] → [B, H, W, C + D]`.
  public func concatenated(with other: Tensor) throws(TensorError) -> Tensor {
    guard shape.count == 4, other.shape.count == 4, shape.dropLast() == other.shape.dropLast(), dtype == other.dtype
    else {
      throw TensorError(
        .shape, "concatenated", "found \(shape) of \(dtype) and \(other.shape) of \(other.dtype).",
        remedy: "All dimensions but the last, and the dtypes, must agree.")
    }
    let (c, d) = (shape[3], other.shape[3])
    let rows = count / max(1, c)
    var out = Tensor(uninitialised: Array(shape.dropLast()) + [c + d], dtype)
    out.copyChannels(from: detached, fromOffset: 0, toOffset: 0, channels: c, rows: rows)
    out.copyChannels(from: other.detached, fromOffset: 0, toOffset: c, channels: d, rows: rows)
    guard let tape = Tape.current, slot != nil || other.slot != nil else { return out }
    let (first, second, firstShape, secondShape) = (slot, other.slot, shape, other.shape)
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      if let first {
        let dx = Tensor(uninitialised: firstShape, g.dtype)
        dx.copyChannels(from: g, fromOffset: 0, toOffset: 0, channels: c, rows: rows)
        try first.add(dx)
      }
      if let second {
        let dy = Tensor(uninitialised: secondShape, g.dtype)
        dy.copyChannels(from: g, fromOffset: c, toOffset: 0, channels: d, rows: rows)
        try second.add(dy)
      }
    }
    return out
  }

  private func copyChannels(from x: Tensor, fromOffset: Int, toOffset: Int, channels: Int, rows: Int) {
    let (from, to) = (x.shape.last ?? 0, shape.last ?? 0)
    KernelClock.note("copy channels \(dtype) \(rows)×\(channels)") {
      parallel(rows, cost: channels) { range in
        for row in range {
          pointer(at: row * to + toOffset).copyMemory(
            from: x.pointer(at: row * from + fromOffset), byteCount: channels * dtype.size)
        }
      }
    }
  }

  /// Each pixel four times: `[B, H, W, C] → [B, 2H, 2W, C]`.
  public func upsampled() throws(TensorError) -> Tensor {
    try require(rank: 4, "upsampled")
    let (b, h, w, c) = (shape[0], shape[1], shape[2], shape[3])
    var out = Tensor(uninitialised: [b, 2 * h, 2 * w, c], dtype)
    let (x, output) = (detached, out)
    parallel(b * h, cost: 4 * w * c) { range in
      for row in range {
        ck_upsample_forward(
          x.dtype.kernel, x.pointer(at: row * w * c), output.pointer(at: row * 4 * w * c), 1, ck_int(w), ck_int(c))
      }
    }
    guard let tape = Tape.current, let inSlot = slot else { return out }
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      let dx = Tensor(uninitialised: [b, h, w, c], g.dtype)
      parallel(b * h, cost: 4 * w * c) { range in
        for row in range {
          ck_upsample_backward(
            g.dtype.kernel, g.pointer(at: row * 4 * w * c), dx.pointer(at: row * w * c), 1, ck_int(w), ck_int(c))
        }
      }
      try inSlot.add(dx)
    }
    return out
  }

  /// The mean of each `f × f` block of pixels: `[B, H, W, C] → [B, H/f, W/f, C]` float32.
  public func reduced(by f: Int) throws(TensorError) -> Tensor {
    let blocks = try folded(f).converted(to: .f32)
    let c = shape[3]
    let small = Array(blocks.shape.dropLast()) + [c]
    var out = Tensor(uninitialised: small, .f32)
    let (x, output, share) = (blocks.detached, out, 1 / Float(f * f))
    let rows = out.count / max(1, c)
    parallel(rows, cost: f * f * c) { range in
      for row in range {
        let (from, to) = (x.floatPointer + row * f * f * c, output.floatPointer + row * c)
        for channel in 0..<c {
          var sum: Float = 0
          for place in 0..<(f * f) { sum += from[place * c + channel] }
          to[channel] = sum * share
        }
      }
    }
    guard let tape = Tape.current, let inSlot = blocks.slot else { return out }
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      let dx = Tensor(uninitialised: x.shape, .f32)
      parallel(rows, cost: f * f * c) { range in
        for row in range {
          let (from, to) = (g.floatPointer + row * c, dx.floatPointer + row * f * f * c)
          for place in 0..<(f * f) { for channel in 0..<c { to[place * c + channel] = from[channel] * share } }
        }
      }
      try inSlot.add(dx)
    }
    return out
  }

  /// Each `f × f` block of pixels into channels: `[B, H, W, C] → [B, H/f, W/f, f²C]`, channel `(dy·f + dx)·C + c`.
  public func folded(_ f: Int) throws(TensorError) -> Tensor {
    try require(rank: 4, "folded")
    guard f > 0, shape[1] % f == 0, shape[2] % f == 0 else {
      throw TensorError(
        .shape, "folded", "\(shape) is not divisible into \(f) × \(f) blocks.",
        remedy: "Pad the picture to a multiple of \(f).")
    }
    return try rearranged(fold: f, inverse: false, "folded")
  }

  /// The inverse of ``folded(_:)``: `[B, H, W, f²C] → [B, fH, fW, C]`.
  public func unfolded(_ f: Int) throws(TensorError) -> Tensor {
    try require(rank: 4, "unfolded")
    guard f > 0, shape[3] % (f * f) == 0 else {
      throw TensorError(
        .shape, "unfolded", "\(shape) does not hold \(f) × \(f) blocks in its channels.",
        remedy: "The last dimension must be a multiple of \(f * f).")
    }
    return try rearranged(fold: f, inverse: true, "unfolded")
  }

  private func rearranged(fold n: Int, inverse: Bool, _ operation: String) throws(TensorError) -> Tensor {
    let target =
      inverse
      ? [shape[0], shape[1] * n, shape[2] * n, shape[3] / (n * n)]
      : [shape[0], shape[1] / n, shape[2] / n, shape[3] * n * n]
    var out = Tensor(uninitialised: target, dtype)
    let (x, output) = (detached, out)
    let (small, large) = inverse ? (shape, target) : (target, shape)
    let run = n * large[3]  // one row of a block is contiguous on both sides
    parallel(small[0] * small[1], cost: small[2] * small[3]) { range in
      for row in range {
        for dy in 0..<n {
          for column in 0..<small[2] {
            let folded = (row * small[2] + column) * small[3] + dy * run
            let plain = ((row * n + dy) * small[2] + column) * run
            let (from, to) = inverse ? (folded, plain) : (plain, folded)
            output.pointer(at: to).copyMemory(from: x.pointer(at: from), byteCount: run * dtype.size)
          }
        }
      }
    }
    guard let tape = Tape.current, let inSlot = slot else { return out }
    tape.record(&out) { (g: Tensor) throws(TensorError) in
      try inSlot.add(try g.rearranged(fold: n, inverse: !inverse, operation))
    }
    return out
  }
}

extension Tensor {
  /// Some of the channels, `[B, H, W, C] → [B, H, W, range.count]`, off the tape.
  /// - Precondition: the range lies inside.
  public func channels(_ range: Range<Int>) -> Tensor {
    precondition(range.lowerBound >= 0 && range.upperBound <= (shape.last ?? 0), "channels: \(range) of \(shape)")
    if range.count == shape.last { return detached }
    let out = Tensor(uninitialised: Array(shape.dropLast()) + [range.count], dtype)
    for row in 0..<(count / (shape.last ?? 1)) {
      out.pointer(at: row * range.count).copyMemory(
        from: pointer(at: row * (shape.last ?? 1) + range.lowerBound), byteCount: range.count * dtype.size)
    }
    return out
  }
}
