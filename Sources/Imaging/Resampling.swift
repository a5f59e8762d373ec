internal import Glibc

/// Separable resampling of whole pictures in Pillow's convention: half-pixel centres, kernels widened when reducing,
/// weights renormalised at the edges. Values are not clamped.
package enum ResamplingKernel: Int32, CaseIterable {
  case box = 0
  case bilinear, bicubic, lanczos

  /// Half the kernel's width at scale 1, pixels.
  private var support: Double {
    switch self {
    case .box: 0.5
    case .bilinear: 1
    case .bicubic: 2
    case .lanczos: 3
    }
  }

  private func value(_ position: Double) -> Double {
    let x = abs(position)
    switch self {
    case .box: return position > -0.5 && position <= 0.5 ? 1 : 0
    case .bilinear: return max(0, 1 - x)
    case .bicubic:
      if x < 1 { return (1.5 * x - 2.5) * x * x + 1 }
      return x < 2 ? -0.5 * (((x - 5) * x + 8) * x - 4) : 0
    case .lanczos:
      if x == 0 { return 1 }
      return x < 3 ? 3 * sin(.pi * x) * sin(.pi * x / 3) / (.pi * .pi * x * x) : 0
    }
  }

  /// For each of `newSize` outputs: the first input and the weights, of sum 1.
  private func rows(
    from size: Int, to newSize: Int, outputs: Range<Int>? = nil
  ) -> [(first: Int, weights: [Float])] {
    let factor = Double(size) / Double(newSize)
    let widening = max(factor, 1)
    return (outputs ?? 0..<newSize).map { output in
      let centre = (Double(output) + 0.5) * factor
      let first = max(0, Int(centre - support * widening + 0.5))
      let end = min(size, max(first + 1, Int(centre + support * widening + 0.5)))
      let row = (first..<end).map { value((Double($0) - centre + 0.5) / widening) }
      let sum = row.reduce(0, +)
      return (first, row.map { Float($0 / sum) })
    }
  }

  /// Fills `target`, `[newHeight, newWidth, channels]`, from `source`, `[height, width, channels]`.
  ///
  /// Strides are floats from one row to the next. With `outputs`, only these rows of the target are made, the first of them
  /// at `target`; the inputs that they are made from are read.
  package func resample(
    _ source: UnsafePointer<Float>, stride: Int, width: Int, height: Int,
    to target: UnsafeMutablePointer<Float>, stride targetStride: Int, width newWidth: Int, height newHeight: Int,
    channels: Int, outputs: Range<Int>? = nil
  ) {
    let columns = rows(from: width, to: newWidth)
    let count = width * channels
    withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { buffer in
      guard let line = buffer.baseAddress else { return }
      for (row, taps) in rows(from: height, to: newHeight, outputs: outputs).enumerated() {
        for index in 0..<count { line[index] = 0 }
        for (tap, weight) in taps.weights.enumerated() {
          let from = source + (taps.first + tap) * stride
          for index in 0..<count { line[index] += weight * from[index] }
        }
        let to = target + row * targetStride
        for (column, taps) in columns.enumerated() {
          for channel in 0..<channels {
            var sum: Float = 0
            var from = line + taps.first * channels + channel
            for weight in taps.weights {
              sum += weight * from.pointee
              from += channels
            }
            to[column * channels + channel] = sum
          }
        }
      }
    }
  }
}

extension ResamplingKernel {
  /// A picture `[height, width, channels]` at another size, or some rows of it. Values are not clamped.
  package func resampled(
    _ values: [Float], width: Int, height: Int, channels: Int, to size: (width: Int, height: Int),
    rows: Range<Int>? = nil
  ) -> [Float] {
    let count = size.width * (rows?.count ?? size.height) * channels
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialised in
      values.withUnsafeBufferPointer { from in
        if let from = from.baseAddress, let to = buffer.baseAddress {
          resample(
            from, stride: width * channels, width: width, height: height, to: to, stride: size.width * channels,
            width: size.width, height: size.height, channels: channels, outputs: rows)
        }
      }
      initialised = count
    }
  }
}
