internal import Copenblas

/// A row-major matrix of float64, for statistics. The same bits with any number of threads.
public struct Matrix: Sendable, Hashable {
  public let rows, columns: Int
  /// `[rows, columns]`.
  public var values: [Double]

  /// - Precondition: as many values as places.
  public init(_ values: [Double], rows: Int, columns: Int) {
    precondition(values.count == rows * columns, "Matrix: \(values.count) values for \(rows) × \(columns)")
    (self.rows, self.columns, self.values) = (rows, columns, values)
  }

  /// Rows of one length.
  public init(rows: [[Double]]) {
    self.init(rows.flatMap { $0 }, rows: rows.count, columns: rows.first?.count ?? 0)
  }

  /// The rows with these numbers, which may repeat.
  public func selecting(_ numbers: [Int]) -> Matrix {
    Matrix(
      numbers.flatMap { values[$0 * columns..<($0 + 1) * columns] }, rows: numbers.count, columns: columns)
  }

  /// Mean of the rows.
  public var mean: [Double] {
    var sums = [Double](repeating: 0, count: columns)
    for row in 0..<rows {
      for i in 0..<columns { sums[i] += values[row * columns + i] }
    }
    return sums.map { $0 / Double(max(1, rows)) }
  }

  /// `A Bᵀ`, or `Aᵀ B` with `transposingFirst`.
  /// - Precondition: the dimension that is summed over is the same in both.
  public func times(_ other: Matrix, transposingFirst: Bool = false) -> Matrix {
    let (m, k) = transposingFirst ? (columns, rows) : (rows, columns)
    let n = transposingFirst ? other.columns : other.rows
    precondition(k == (transposingFirst ? other.rows : other.columns), "Matrix: a product of what does not fit")
    var out = [Double](repeating: 0, count: m * n)
    onThisThread {
      cblas_dgemm(
        CblasRowMajor, transposingFirst ? CblasTrans : CblasNoTrans, transposingFirst ? CblasNoTrans : CblasTrans,
        Int32(m), Int32(n), Int32(k), 1, values, Int32(max(1, columns)), other.values, Int32(max(1, other.columns)), 0,
        &out, Int32(max(1, n)))
    }
    return Matrix(out, rows: m, columns: n)
  }

  /// From large to small; LAPACK's `dgesdd`.
  /// - Throws: `TensorError` when the matrix holds what is no number, or LAPACK does not converge.
  public func singularValues() throws(TensorError) -> [Double] {
    try requireFinite("singularValues")
    var (a, found) = (values, [Double](repeating: 0, count: min(rows, columns)))
    var status: Int32 = 0
    onThisThread {
      // Column-major, the matrix is its own transpose, which has the same singular values.
      status = LAPACKE_dgesdd(
        LAPACK_COL_MAJOR, Int8(UInt8(ascii: "N")), Int32(columns), Int32(rows), &a, Int32(max(1, columns)), &found, nil,
        1, nil, 1)
    }
    try check(status, "singularValues")
    return found
  }

  /// Eigenvalues from small to large, and the eigenvectors as rows; of a symmetric matrix, LAPACK's `dsyevd`.
  /// - Throws: as ``singularValues()``.
  public func symmetricEigen() throws(TensorError) -> (values: [Double], vectors: Matrix) {
    precondition(rows == columns, "Matrix: eigenvalues of a square")
    try requireFinite("symmetricEigen")
    var (a, found) = (values, [Double](repeating: 0, count: rows))
    var status: Int32 = 0
    onThisThread {
      // Column-major, eigenvectors are columns, which are rows here.
      status = LAPACKE_dsyevd(
        LAPACK_COL_MAJOR, Int8(UInt8(ascii: "V")), Int8(UInt8(ascii: "U")), Int32(rows), &a, Int32(max(1, rows)), &found
      )
    }
    try check(status, "symmetricEigen")
    return (found, Matrix(a, rows: rows, columns: columns))
  }

  private func requireFinite(_ operation: String) throws(TensorError) {
    guard values.allSatisfy(\.isFinite) else {
      throw TensorError(
        .range, operation, "the matrix of \(rows) × \(columns) holds a value that is not finite.",
        remedy: "Look for the picture or the weights that it comes from.")
    }
  }

  private func check(_ status: Int32, _ operation: String) throws(TensorError) {
    guard status == 0 else {
      throw TensorError(
        .library, operation, "LAPACK says \(status) for a matrix of \(rows) × \(columns).",
        remedy: "Measure on other pictures, or more of them.")
    }
  }
}
