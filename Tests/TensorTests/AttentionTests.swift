import CKernels
import Foundation
import Tensor
import Testing

@Suite("Attention") @Compute struct AttentionTests {
  /// Queries, keys and the channels of a head: blocks and tiles of the kernels are cut in the middle, and exactly filled.
  nonisolated static let shapes: [(queries: Int, keys: Int, width: Int)] = [
    (1, 1, 2), (5, 3, 8), (48, 64, 16), (50, 77, 40), (131, 200, 160), (97, 129, 6), (65, 300, 80), (33, 160, 512),
  ]

  /// The scalar reference on what `x` and `y` hold, heads side by side.
  private func expected(_ x: Tensor, _ y: Tensor, heads: Int) -> [Float] {
    let (batch, queries, c) = (x.shape[0], x.shape[1], x.shape[2])
    let (keys, d) = (y.shape[1], c / heads)
    let (q, kv) = (x.floats(), y.floats())
    var out = [Float](repeating: 0, count: q.count)
    for b in 0..<batch {
      for h in 0..<heads {
        func part(_ from: [Float], _ rows: Int, _ stride: Int, _ offset: Int) -> [Float] {
          (0..<rows).flatMap { row in (0..<d).map { from[(b * rows + row) * stride + offset + h * d + $0] } }
        }
        var one = [Float](repeating: 0, count: queries * d)
        ckr_attention(
          part(q, queries, c, 0), part(kv, keys, 2 * c, 0), part(kv, keys, 2 * c, c), 1 / Float(d).squareRoot(), &one,
          ck_int(queries), ck_int(keys), ck_int(d))
        for row in 0..<queries { for i in 0..<d { out[(b * queries + row) * c + h * d + i] = one[row * d + i] } }
      }
    }
    return out
  }

  /// What each set of kernels computes with; a CPU that lacks one uses the next lower.
  nonisolated static let kernels: [(type: DType, isa: Int32, tolerance: Float)] = [
    (.f32, Int32(CK_ISA_AMX), 1e-5), (.bf16, Int32(CK_ISA_AMX), 1e-2), (.bf16, Int32(CK_ISA_BF16), 1e-2),
    (.bf16, Int32(CK_ISA_V4), 1e-2),
  ]

  @Test("to a context agrees with the scalar reference", arguments: shapes, kernels)
  func context(
    shape: (queries: Int, keys: Int, width: Int), precision: (type: DType, isa: Int32, tolerance: Float)
  ) throws {
    ck_limit_isa(precision.isa)
    defer { ck_limit_isa(Int32(CK_ISA_AMX)) }
    let heads = 3
    let x = random("x", [2, shape.queries, heads * shape.width], scale: 2).value.converted(to: precision.type)
    let y = random("y", [2, shape.keys, 2 * heads * shape.width]).value.converted(to: precision.type)
    let found = try x.attending(to: y, heads: heads)
    #expect(found.shape == x.shape && found.dtype == precision.type)
    let right = expected(x, y, heads: heads)
    #expect(largestDifference(found.floats(), right) < precision.tolerance * max(1, right.map(abs).max() ?? 1))
  }

  @Test("to itself is attention to its own keys and values", arguments: DType.allCases)
  func itself(dtype: DType) throws {
    let (heads, width, positions) = (2, 8, 70)
    let c = heads * width
    let x = random("x", [2, 7, 10, 3 * c]).value.converted(to: dtype)
    let rows = x.floats()
    func channels(_ from: Int, _ count: Int) throws -> Tensor {
      var part: [Float] = []
      for row in 0..<2 * positions {
        let start = row * 3 * c + from
        part += rows[start..<start + count]
      }
      return try Tensor(part, shape: [2, positions, count]).converted(to: dtype)
    }
    let found = try x.selfAttention(heads: heads)
    #expect(found.shape == [2, 7, 10, c])
    #expect(found.floats() == (try channels(0, c).attending(to: try channels(c, 2 * c), heads: heads)).floats())
  }

  @Test("weights stay in range where scores grow from key to key", arguments: kernels.dropFirst())
  func growing(precision: (type: DType, isa: Int32, tolerance: Float)) throws {
    ck_limit_isa(precision.isa)
    defer { ck_limit_isa(Int32(CK_ISA_AMX)) }
    let (keys, d) = (200, 2)
    let q = try Tensor([Float](repeating: 1, count: 40 * d), shape: [1, 40, d]).converted(to: .bf16)
    // Key i has the score √2 i and the value i: what is found is nearly the last, and every block overtakes the one before.
    let y = (0..<keys).flatMap { (i: Int) -> [Float] in [Float(i), Float(i), Float(i), 1] }
    let found = try q.attending(to: try Tensor(y, shape: [1, keys, 2 * d]).converted(to: .bf16), heads: 1).floats()
    let weights = (0..<keys).map { exp(Double(2).squareRoot() * Double($0 - keys + 1)) }
    let mean = zip(weights, 0..<keys).map { $0 * Double($1) }.reduce(0, +) / weights.reduce(0, +)
    for i in 0..<40 {
      #expect(abs(Double(found[i * d]) - mean) < 1 && abs(found[i * d + 1] - 1) < 1e-2)
    }
  }

  @Test("scores far apart neither overflow nor vanish", arguments: DType.allCases)
  func extremes(dtype: DType) throws {
    let q = try Tensor([Float](repeating: 100, count: 4), shape: [1, 1, 4]).converted(to: dtype)
    // One key points along the query, one against it; values 3 and 5, and the other way round for the second query.
    let keys: [Float] = [100, 100, 100, 100, 3, 3, 3, 3, -100, -100, -100, -100, 5, 5, 5, 5]
    let found = try q.attending(to: try Tensor(keys, shape: [1, 2, 8]).converted(to: dtype), heads: 1)
    #expect(found.floats() == [3, 3, 3, 3])
  }

  @Test("gradients of queries, keys and values, over several blocks of queries")
  func gradients() throws {
    let (x, y) = (random("x", [2, 5, 8]), random("y", [2, 4, 16]))
    try checkGradients(of: [x, y]) { try x.tensor.attending(to: y.tensor, heads: 2) }
    let z = random("z", [1, 3, 3, 12])
    try checkGradients(of: [z]) { try z.tensor.selfAttention(heads: 2) }
    let long = random("long", [1, 150, 6])
    try checkGradients(of: [long], tolerance: 2e-2, step: 5e-2) { try long.tensor.selfAttention(heads: 1) }
  }

  @Test("a sample has the same bits alone and in a batch, with one thread and with all", arguments: kernels)
  func bits(precision: (type: DType, isa: Int32, tolerance: Float)) throws {
    ck_limit_isa(precision.isa)
    defer { ck_limit_isa(Int32(CK_ISA_AMX)) }
    let x = random("x", [3, 150, 3 * 64]).value.converted(to: precision.type)
    let all = try x.selfAttention(heads: 4)
    let threads = Compute.threads
    Compute.threads = 1
    defer { Compute.threads = threads }
    for sample in 0..<3 {
      #expect(try x.sample(sample).selfAttention(heads: 4).floats() == all.sample(sample).floats())
    }
  }

  @Test("without bfloat16 dot products the result is nearly the same", arguments: [Int32(0), 1])
  func otherSets(level: Int32) throws {
    let x = random("x", [1, 90, 3 * 16]).value.converted(to: .bf16)
    let best = try x.selfAttention(heads: 2).floats()
    ck_limit_isa(level)
    defer { ck_limit_isa(Int32(CK_ISA_AMX)) }
    #expect(largestDifference(try x.selfAttention(heads: 2).floats(), best) < 2e-2)
  }

  @Test("what does not fit is refused by name, with its shapes and a remedy")
  func refusals() throws {
    let x = random("x", [2, 5, 12]).value
    let attempts: [(String, () throws -> Tensor)] = [
      ("selfAttention", { try x.selfAttention(heads: 3) }), ("selfAttention", { try x.selfAttention(heads: 0) }),
      ("attending", { try x.attending(to: random("y", [2, 4, 12]).value, heads: 2) }),
      ("attending", { try x.attending(to: random("y", [1, 4, 24]).value, heads: 2) }),
      ("attending", { try x.attending(to: random("y", [2, 4, 24]).value.converted(to: .bf16), heads: 2) }),
    ]
    for (name, attempt) in attempts {
      let error = try #require(throws: TensorError.self) { try attempt() }
      #expect(error.operation == name && error.reason.contains("[2, 5, 12]") && !error.remedy.isEmpty)
    }
  }
}
