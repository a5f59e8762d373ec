internal import CKernels

/// The gradient of a convolution's weights on the CPU's matrix tiles, where it has them: bfloat16 in, float32 sums.
/// oneDNN's takes twice as long, rounds the gradient to bfloat16, and lets threads wait for each other in a loop.
struct WeightGradient {
  private let shape: ck_gradient
  private let key: ConvolutionPlan.Key

  /// `nil` where oneDNN has to do it.
  init?(_ key: ConvolutionPlan.Key) {
    guard key.dtype == .bf16, key.groups == 1 else { return nil }
    func out(_ length: Int) -> ck_int { ck_int((length + key.padLow + key.padHigh - key.kernel) / key.stride + 1) }
    shape = ck_gradient(
      batch: ck_int(key.batch), height: ck_int(key.height), width: ck_int(key.width), in: ck_int(key.inChannels),
      out_height: out(key.height), out_width: out(key.width), out: ck_int(key.outChannels), kernel: ck_int(key.kernel),
      stride: ck_int(key.stride), pad: ck_int(key.padLow))
    self.key = key
    var shape = shape
    guard ck_has_weight_gradient(&shape) == 1 else { return nil }
  }

  /// From the input and the output's gradient, `[B, H, W, I]` and `[B, H', W', O]`, to `dw`, `[O, I, K, K]`, and `db`, `[O]`.
  func compute(_ x: Tensor, _ dout: Tensor, into dw: Tensor, _ db: Tensor?) {
    let gigaflop = 2e-9 * Double(dw.count) * Double(dout.count / max(1, key.outChannels))
    let channels = "\(key.inChannels)→\(key.outChannels) \(key.kernel)×\(key.kernel)/\(key.stride)"
    let name = "weight gradient bf16 \(key.batch)×\(key.height)×\(key.width) \(channels)"
    var p = shape
    let each = (ck_weight_gradient_bytes(&p) + 63) & ~63
    let parts = Int(ck_weight_gradient_parts(&p))
    let scratch = Storage(byteCount: parts * each)
    KernelClock.note(name, gigaflop: gigaflop) {
      parallel(parts, cost: dw.count * 64) { range in
        var p = shape
        for part in range {
          ck_weight_gradient_part(&p, x.base, dout.base, ck_int(part), scratch.base + part * each)
        }
      }
      parallel(key.outChannels, cost: dw.count / max(1, key.outChannels) * parts) { range in
        var p = shape
        ck_weight_gradient_finish(
          &p, scratch.base, dw.floatPointer, db?.floatPointer, ck_int(range.lowerBound), ck_int(range.upperBound))
      }
    }
    withExtendedLifetime(scratch) {}
  }
}
