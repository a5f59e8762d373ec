import CKernels
import Tensor
import Testing

@Suite("Norms over groups and layers, and GEGLU") @Compute struct GroupNormTests {
  @Test(
    "group norm agrees with its scalar reference", arguments: [(1, 5, 5), (4, 37, 12), (32, 600, 64)], [true, false])
  func groupNorm(shape: (groups: Int, rows: Int, channels: Int), activate: Bool) throws {
    let (x, gain) = (random("x", [2, 1, shape.rows, shape.channels], scale: 3), random("gain", [shape.channels]))
    let bias = random("bias", [shape.channels])
    let found = try x.value.groupNormalised(groups: shape.groups, gain: gain, bias: bias, activate: activate)
    for sample in 0..<2 {
      var expected = [Float](repeating: 0, count: shape.rows * shape.channels)
      ckr_group_norm(
        x.value.sample(sample).floats(), gain.value.floats(), bias.value.floats(), 1e-5, ck_int(shape.groups),
        activate ? 1 : 0, &expected, ck_int(shape.rows), ck_int(shape.channels))
      #expect(largestDifference(found.sample(sample).floats(), expected) < 1e-5)
    }
  }

  @Test("an offset is what adding it to every pixel first would be, in batches and for all")
  func offset() throws {
    let (x, gain, bias) = (random("x", [2, 3, 4, 8]).value, random("gain", [8]), random("bias", [8]))
    for rows in [1, 2] {
      let offset = random("offset", [rows, 8]).value
      var wide = x.floats()
      let added = offset.floats()
      for i in wide.indices {
        let row = rows == 1 ? 0 : i / 96
        wide[i] += added[row * 8 + i % 8]
      }
      let expected = try Tensor(wide, shape: x.shape).groupNormalised(groups: 2, gain: gain, bias: bias)
      let found = try x.groupNormalised(groups: 2, gain: gain, bias: bias, offset: offset)
      #expect(largestDifference(found.floats(), expected.floats()) < 1e-5)
    }
  }

  @Test("group norm's gradients, with an offset for each sample and for all", arguments: [1, 2])
  func groupNormGradients(rows: Int) throws {
    let (x, gain, bias) = (random("x", [2, 3, 5, 6]), random("gain", [6]), random("bias", [6]))
    let offset = random("offset", [rows, 6])
    try checkGradients(of: [x, gain, bias, offset]) {
      try x.tensor.groupNormalised(groups: 3, gain: gain, bias: bias, offset: offset.tensor)
    }
  }

  @Test("a sample has the same bits alone and in a batch, with one thread and with all", arguments: DType.allCases)
  func bits(dtype: DType) throws {
    let (gain, bias) = (random("gain", [64]), random("bias", [64]))
    let x = random("x", [3, 40, 40, 64]).value.converted(to: dtype)
    let all = try x.groupNormalised(groups: 32, gain: gain, bias: bias)
    let threads = Compute.threads
    Compute.threads = 1
    defer { Compute.threads = threads }
    for sample in 0..<3 {
      let alone = try x.sample(sample).groupNormalised(groups: 32, gain: gain, bias: bias)
      #expect(alone.floats() == all.sample(sample).floats())
    }
  }

  @Test("layer norm agrees with its scalar reference and has its gradients")
  func layerNorm() throws {
    let (x, gain, bias) = (random("x", [2, 7, 12], scale: 2), random("gain", [12]), random("bias", [12]))
    var expected = [Float](repeating: 0, count: 14 * 12)
    ckr_layer_norm(x.value.floats(), gain.value.floats(), bias.value.floats(), 1e-5, &expected, 14, 12)
    let found = try x.value.layerNormalised(gain: gain, bias: bias)
    #expect(largestDifference(found.floats(), expected) < 1e-5)
    try checkGradients(of: [x, gain, bias]) { try x.tensor.layerNormalised(gain: gain, bias: bias) }
  }

  @Test("GEGLU agrees with its scalar reference and has its gradients")
  func geglu() throws {
    let x = random("x", [2, 9, 16], scale: 3)
    var expected = [Float](repeating: 0, count: 18 * 8)
    ckr_geglu(x.value.floats(), &expected, 18, 8)
    let found = try x.value.geglu()
    #expect(found.shape == [2, 9, 8] && largestDifference(found.floats(), expected) < 2e-6)
    try checkGradients(of: [x]) { try x.tensor.geglu() }
  }

  @Test("the same on every instruction set, in both types", arguments: [Int32(0), 1, 2], DType.allCases)
  func instructionSets(level: Int32, dtype: DType) throws {
    let x = random("x", [1, 5, 5, 12], scale: 2).value.converted(to: dtype)
    let (gain, bias) = (random("gain", [12]), random("bias", [12]))
    let body = {
      try [
        x.groupNormalised(groups: 4, gain: gain, bias: bias), x.layerNormalised(gain: gain, bias: bias), x.geglu(),
      ].map { $0.floats() }
    }
    let best = try body()
    ck_limit_isa(level)
    defer { ck_limit_isa(Int32(CK_ISA_AMX)) }
    for (a, b) in zip(try body(), best) { #expect(largestDifference(a, b) < (dtype == .f32 ? 1e-5 : 0.04)) }
  }

  @Test("what does not fit is refused by name, with its shape and a remedy")
  func refusals() throws {
    let (x, g8, g6) = (random("x", [2, 3, 4, 8]).value, random("gain", [8]), random("gain", [6]))
    let attempts: [(String, () throws -> Tensor)] = [
      ("groupNormalised", { try x.groupNormalised(groups: 3, gain: g8, bias: g8) }),
      ("groupNormalised", { try x.groupNormalised(groups: 2, gain: g6, bias: g8) }),
      ("groupNormalised", { try x.groupNormalised(groups: 2, gain: g8, bias: g8, offset: random("o", [3, 8]).value) }),
      ("layerNormalised", { try x.layerNormalised(gain: g6, bias: g6) }),
      ("geglu", { try random("odd", [2, 3, 5]).value.geglu() }),
    ]
    for (name, attempt) in attempts {
      let error = try #require(throws: TensorError.self) { try attempt() }
      #expect(error.operation == name && error.reason.contains("[2, 3") && !error.remedy.isEmpty)
    }
  }
}

func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
  a.count == b.count ? zip(a, b).map { abs($0 - $1) }.max() ?? 0 : .infinity
}
