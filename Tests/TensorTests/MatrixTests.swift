import Tensor
import Testing

@Suite("Matrices of float64") struct MatrixTests {
  private func random(_ rows: Int, _ columns: Int, key: UInt64 = 1) -> Matrix {
    let stream = NoiseStream(key: key)
    return Matrix(
      (0..<rows * columns).map { stream.uniform(UInt64($0)) * 2 - 1 }, rows: rows, columns: columns)
  }

  @Test("products are sums of products, with either one transposed")
  func products() {
    let (a, b) = (random(3, 5), random(4, 5, key: 2))
    let found = a.times(b)
    for i in 0..<3 {
      for j in 0..<4 {
        let expected = (0..<5).reduce(0.0) { $0 + a.values[i * 5 + $1] * b.values[j * 5 + $1] }
        #expect(abs(found.values[i * 4 + j] - expected) < 1e-14)
      }
    }
    let gram = a.times(a, transposingFirst: true)
    #expect(gram.rows == 5 && gram.columns == 5)
    #expect(abs(gram.values[1] - (0..<3).reduce(0.0) { $0 + a.values[$1 * 5] * a.values[$1 * 5 + 1] }) < 1e-14)
  }

  @Test("singular values are the roots of the product's eigenvalues, and eigenvectors give the matrix back")
  func decompositions() throws {
    let a = random(4, 7)
    let product = a.times(a)
    let (values, vectors) = try product.symmetricEigen()
    for (singular, eigen) in zip(try a.singularValues(), values.reversed()) {
      #expect(abs(singular * singular - eigen) < 1e-12)
    }
    for i in 0..<4 {
      for j in 0..<4 {
        let sum = (0..<4).reduce(0.0) { $0 + values[$1] * vectors.values[$1 * 4 + i] * vectors.values[$1 * 4 + j] }
        #expect(abs(sum - product.values[i * 4 + j]) < 1e-12)
      }
    }
  }

  @Test("what is no number is refused")
  func notFinite() {
    let error = #expect(throws: TensorError.self) { try Matrix([1, .nan], rows: 1, columns: 2).singularValues() }
    #expect(error?.code == .range)
  }
}
