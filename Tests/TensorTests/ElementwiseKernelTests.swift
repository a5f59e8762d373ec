import CKernels
import Foundation
import Tensor
import Testing

/// Values as a kernel finds them in memory, of one type or the other.
private struct Block {
  let type: ck_type
  var bytes: [UInt8]

  /// Rounds to the type.
  init(_ values: [Float], _ type: ck_type) {
    self.type = type
    bytes =
      type == .CK_F32
      ? values.withUnsafeBytes { Array($0) } : values.map { ckr_to_bf16($0) }.withUnsafeBytes { Array($0) }
  }

  /// Memory that nobody has written, with values that show.
  init(unwritten count: Int, _ type: ck_type) { self.init([Float](repeating: 1e30, count: count), type) }

  var floats: [Float] {
    bytes.withUnsafeBytes { raw in
      type == .CK_F32
        ? Array(raw.bindMemory(to: Float.self)) : raw.bindMemory(to: UInt16.self).map { ckr_from_bf16($0) }
    }
  }
}

private func normals(_ count: Int, _ name: String) -> [Float] {
  NoiseStream(seed: 6, digest: Array(name.utf8)).normal(draw: 0, height: 1, width: count, channels: 1).floats()
}

/// Every kernel that KernelTests does not compare, and those that it does in bfloat16.
@Suite("Kernels agree with their scalar references in float32 and bfloat16") @Compute struct ElementwiseKernelTests {
  nonisolated static let levels: [Int32] = [0, 1, 2]
  nonisolated static let types: [ck_type] = [.CK_F32, .CK_BF16]
  /// Neither a multiple of a vector's length nor of a block's.
  let rows = 37
  let channels = 11
  var count: Int { rows * channels }

  private func at<R>(_ level: Int32, _ body: () throws -> R) rethrows -> R {
    ck_limit_isa(level)
    defer { ck_limit_isa(Int32(CK_ISA_AMX)) }
    return try body()
  }

  /// Half a unit in the last place of the type, and what sums of float32 lose.
  private func agree(
    _ found: [Float], _ wanted: [Float], _ type: ck_type, _ tolerance: Float = 4e-6,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let size = max(1, wanted.map(abs).max() ?? 0)
    let unit: Float = type == .CK_BF16 ? 0x1p-8 : 0
    for (a, b) in zip(found, wanted) where !(abs(a - b) <= unit * abs(b) + tolerance * size) {
      Issue.record("found \(a), the reference says \(b)", sourceLocation: sourceLocation)
      return
    }
    #expect(found.count == wanted.count, sourceLocation: sourceLocation)
  }

  @Test("conversion rounds to nearest, ties to even, whatever the bits", arguments: levels)
  func convert(level: Int32) {
    // A stride that is odd meets every pattern of the lower half, and NaNs, infinities and subnormals above.
    let values = (0..<(1 << 17)).map { Float(bitPattern: UInt32(truncatingIfNeeded: $0 * 32_771 + 0x7FF8)) }
    var low = [UInt16](repeating: 0, count: values.count)
    var back = [Float](repeating: 0, count: values.count)
    at(level) {
      ck_convert(.CK_F32, values, .CK_BF16, &low, ck_int(values.count))
      ck_convert(.CK_BF16, low, .CK_F32, &back, ck_int(values.count))
    }
    #expect(zip(low, values).allSatisfy { $0 == ckr_to_bf16($1) })
    #expect(zip(back, low).allSatisfy { $0.bitPattern == ckr_from_bf16($1).bitPattern })
  }

  @Test("a x + b y, with and without y", arguments: levels, types)
  func axpby(level: Int32, type: ck_type) {
    let (x, y) = (Block(normals(count, "x"), type), Block(normals(count, "y"), type))
    var (both, one) = (Block(unwritten: count, type), Block(unwritten: count, type))
    at(level) {
      ck_axpby(type, 0.3, x.bytes, -1.7, y.bytes, &both.bytes, ck_int(count))
      ck_axpby(type, 0.3, x.bytes, 0, nil, &one.bytes, ck_int(count))
    }
    var wanted = [Float](repeating: 0, count: count)
    ckr_axpby(0.3, x.floats, -1.7, y.floats, &wanted, ck_int(count))
    agree(both.floats, wanted, type)
    ckr_axpby(0.3, x.floats, 0, nil, &wanted, ck_int(count))
    agree(one.floats, wanted, type)
  }

  @Test("blending by μ and its three gradients", arguments: levels, types)
  func blend(level: Int32, type: ck_type) {
    let (h, a, d) = (
      Block(normals(count, "h"), type), Block(normals(count, "a"), type), Block(normals(count, "d"), type)
    )
    let mu = normals(channels, "mu")
    var (out, dh, da) = (
      Block(unwritten: count, type), Block(unwritten: count, type), Block(unwritten: count, type)
    )
    var dmu = normals(channels, "before")
    var wanted = ([Float](repeating: 0, count: count), [Float](repeating: 0, count: count), dmu)
    let (r, c) = (ck_int(rows), ck_int(channels))
    at(level) {
      ck_blend_forward(type, h.bytes, a.bytes, mu, &out.bytes, r, c)
      ck_blend_backward(type, h.bytes, a.bytes, mu, d.bytes, &dh.bytes, &da.bytes, &dmu, r, c)
    }
    ckr_blend_forward(h.floats, a.floats, mu, &wanted.0, r, c)
    agree(out.floats, wanted.0, type)
    ckr_blend_backward(h.floats, a.floats, mu, d.floats, &wanted.0, &wanted.1, &wanted.2, r, c)
    agree(dh.floats, wanted.0, type)
    agree(da.floats, wanted.1, type)
    agree(dmu, wanted.2, .CK_F32)
  }

  @Test("enlargement to twice the size and its gradient", arguments: levels, types)
  func upsample(level: Int32, type: ck_type) {
    let (height, width, c) = (4, 5, 3)
    let small = height * width * c
    let (x, d) = (Block(normals(small, "x"), type), Block(normals(4 * small, "d"), type))
    var (out, dx) = (Block(unwritten: 4 * small, type), Block(unwritten: small, type))
    at(level) {
      ck_upsample_forward(type, x.bytes, &out.bytes, ck_int(height), ck_int(width), ck_int(c))
      ck_upsample_backward(type, d.bytes, &dx.bytes, ck_int(height), ck_int(width), ck_int(c))
    }
    var (large, sums) = ([Float](repeating: 0, count: 4 * small), [Float](repeating: 0, count: small))
    ckr_upsample_forward(x.floats, &large, ck_int(height), ck_int(width), ck_int(c))
    ckr_upsample_backward(d.floats, &sums, ck_int(height), ck_int(width), ck_int(c))
    #expect(out.floats == large)
    agree(dx.floats, sums, type)
  }

  @Test("sums of squares and of rows", arguments: levels, types)
  func sums(level: Int32, type: ck_type) {
    // More than one block of the kernel's.
    let n = 4096 + count
    let (x, y) = (Block(normals(n, "x"), type), Block(normals(n, "y"), type))
    var (apart, alone) = (0.0, 0.0)
    var rowSums = normals(channels, "before")
    var wanted = rowSums
    at(level) {
      ck_sum_squares(type, x.bytes, y.bytes, ck_int(n), &apart)
      ck_sum_squares(type, x.bytes, nil, ck_int(n), &alone)
      ck_sum_rows(type, x.bytes, &rowSums, ck_int(rows), ck_int(channels))
    }
    let (both, one) = (ckr_sum_squares(x.floats, y.floats, ck_int(n)), ckr_sum_squares(x.floats, nil, ck_int(n)))
    #expect(abs(apart - both) < 1e-5 * both && abs(alone - one) < 1e-5 * one)
    ckr_sum_rows(x.floats, &wanted, ck_int(rows), ck_int(channels))
    agree(rowSums, wanted, .CK_F32)
  }

  @Test("norm, modulation and SiLU in bfloat16", arguments: levels, [Int32(0), 1])
  func norm(level: Int32, activate: Int32) {
    let type = ck_type.CK_BF16
    let (x, d) = (Block(normals(count, "x"), type), Block(normals(count, "d"), type))
    let (gain, scale, shift) = (normals(channels, "g"), normals(channels, "scale"), normals(channels, "shift"))
    let zeros = [Float](repeating: 0, count: channels)
    var (out, dx, sum) = (Block(unwritten: count, type), Block(unwritten: count, type), Block(unwritten: count, type))
    var found = (zeros, zeros, zeros)
    var again = (zeros, zeros, zeros)
    var wanted = (zeros, zeros, zeros)
    var (y, gradient) = ([Float](repeating: 0, count: count), [Float](repeating: 0, count: count))
    let (r, c) = (ck_int(rows), ck_int(channels))
    at(level) {
      ck_norm_forward(type, x.bytes, gain, scale, shift, 1e-6, activate, &out.bytes, r, c)
      ck_norm_backward(
        type, x.bytes, gain, scale, shift, 1e-6, activate, d.bytes, nil, &dx.bytes, &found.0, &found.1, &found.2, r, c)
      ck_norm_backward(
        type, x.bytes, gain, scale, shift, 1e-6, activate, d.bytes, x.bytes, &sum.bytes, &again.0, &again.1, &again.2,
        r,
        c)
    }
    ckr_norm_forward(x.floats, gain, scale, shift, 1e-6, activate, &y, r, c)
    ckr_norm_backward(
      x.floats, gain, scale, shift, 1e-6, activate, d.floats, &gradient, &wanted.0, &wanted.1, &wanted.2, r, c)
    agree(out.floats, y, type)
    agree(dx.floats, gradient, type, 1e-5)
    agree(sum.floats, zip(gradient, x.floats).map { $0 + $1 }, type, 1e-5)
    agree(found.0, wanted.0, .CK_F32, 1e-5)
    agree(found.1, wanted.1, .CK_F32, 1e-5)
    agree(found.2, wanted.2, .CK_F32, 1e-5)
  }

  @Test("SiLU and its gradient in bfloat16", arguments: levels)
  func silu(level: Int32) {
    let type = ck_type.CK_BF16
    let x = Block((0..<801).map { Float($0 - 400) / 10 }, type)
    let d = Block(normals(801, "d"), type)
    var (y, dx) = (Block(unwritten: 801, type), Block(unwritten: 801, type))
    at(level) {
      ck_silu_forward(type, x.bytes, &y.bytes, 801)
      ck_silu_backward(type, x.bytes, d.bytes, &dx.bytes, 801)
    }
    agree(y.floats, x.floats.map { ckr_silu($0) }, type)
    agree(dx.floats, zip(x.floats, d.floats).map { ckr_silu_gradient($0) * $1 }, type)
  }

  @Test("noise is Philox and Box-Muller, from the first counter to one that wraps", arguments: levels)
  func normalRow(level: Int32) {
    let (width, c) = (3001, 5)
    for (key, draw, x, y) in [
      (UInt64(0), UInt32(0), UInt32(0), UInt32(0)), (0x1234_5678_9ABC_DEF0, 3, 0xFFFF_FF00, 77),
    ] {
      var fast = [Float](repeating: 0, count: width * c)
      var slow = [Double](repeating: 0, count: width * c)
      at(level) { ck_normal_row(key, draw, x, y, &fast, ck_int(width), ck_int(c)) }
      ckr_normal_row(key, draw, x, y, &slow, ck_int(width), ck_int(c))
      let worst = zip(fast, slow).reduce(0.0) { max($0, abs(Double($1.0) - $1.1)) }
      #expect(worst < 2e-6, "differs by \(worst)")
    }
  }
}
