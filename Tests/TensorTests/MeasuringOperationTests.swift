import Tensor
import Testing

@Suite("Operations for measuring networks") @Compute struct MeasuringOperationTests {
  @Test("rectification keeps what is positive")
  func rectified() throws {
    let x = try Tensor([-1, 0, 2, -0.5, .infinity, 3], shape: [2, 3])
    #expect(try x.rectified().floats() == [0, 0, 2, 0, .infinity, 3])
    #expect(try x.rectified(upTo: 2.5).floats() == [0, 0, 2, 0, 2.5, 2.5])
  }

  @Test("pooling takes the largest of each square, and the last one may reach over the edge", arguments: [5, 6, 7, 20])
  func maxPooled(size: Int) throws {
    let (height, width, channels) = (size, size + 1, 5)
    let x = random("pooled", [2, height, width, channels]).value
    let found = try x.pooled(.largest, window: 3, stride: 2, reachesOver: true)
    let (rows, columns) = (height / 2, (width) / 2)
    #expect(found.shape == [2, rows, columns, channels])
    let (values, pooled) = (x.floats(), found.floats())
    for b in 0..<2 {
      for row in 0..<rows {
        for column in 0..<columns {
          for c in 0..<channels {
            var largest = -Float.infinity
            for y in 2 * row..<min(height, 2 * row + 3) {
              for x in 2 * column..<min(width, 2 * column + 3) {
                largest = max(largest, values[((b * height + y) * width + x) * channels + c])
              }
            }
            #expect(pooled[((b * rows + row) * columns + column) * channels + c] == largest)
          }
        }
      }
    }
  }

  @Test("pooling without the last square, with padding, and means leave out what lies outside", arguments: Pooling.both)
  func pooledWithPadding(kind: Pooling) throws {
    let x = random("pooled", [2, 5, 6, 3]).value
    let values = x.floats()
    for (window, stride, padding, rows, columns) in [
      (2, 2, 0, 2, 3), (3, 1, 1, 5, 6), (3, 2, 0, 2, 2), (3, 2, 1, 3, 3),
    ] {
      let found = try x.pooled(kind, window: window, stride: stride, padding: padding)
      #expect(found.shape == [2, rows, columns, 3])
      let pooled = found.floats()
      for i in pooled.indices {
        let (c, column, row, b) = (i % 3, i / 3 % columns, i / 3 / columns % rows, i / 3 / columns / rows)
        let (top, left) = (row * stride - padding, column * stride - padding)
        let inside = (max(0, top)..<min(5, top + window)).flatMap { y in
          (max(0, left)..<min(6, left + window)).map { x in values[((b * 5 + y) * 6 + x) * 3 + c] }
        }
        let expected = kind == .largest ? inside.max() ?? 0 : inside.reduce(0, +) / Float(inside.count)
        #expect(abs(pooled[i] - expected) < 1e-6)
      }
    }
  }

  @Test("the mean over places is each picture's and each channel's own")
  func meanOverPlaces() throws {
    let x = try Tensor((0..<24).map(Float.init), shape: [2, 2, 3, 2])
    #expect(try x.meanOverPlaces().floats() == [5, 6, 17, 18])
  }

  @Test("other types and pictures below the window are refused")
  func refusals() {
    func code(_ body: () throws -> Tensor) -> TensorError.Code? {
      #expect(throws: TensorError.self) { try body() }?.code
    }
    #expect(code { try Tensor.zeros([1, 2, 4, 1]).pooled(.largest, window: 3, stride: 2) } == .shape)
    #expect(code { try Tensor.zeros([1, 4, 4, 1]).pooled(.mean, window: 2, stride: 3) } == .shape)
    #expect(code { try Tensor.zeros([1, 4, 4, 1], .bf16).pooled(.mean, window: 2, stride: 2) } == .dtype)
    #expect(code { try Tensor.zeros([1, 4, 4, 1]).pooled(.mean, window: 2, stride: 1, padding: 1) } == .shape)
    #expect(code { try Tensor.zeros([4], .bf16).rectified() } == .dtype)
  }
}

extension Pooling {
  fileprivate static let both: [Pooling] = [.largest, .mean]
}
