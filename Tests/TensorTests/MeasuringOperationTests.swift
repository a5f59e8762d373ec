import Tensor
import Testing

@Suite("Operations for measuring networks") @Compute struct MeasuringOperationTests {
  @Test("rectification keeps what is positive")
  func rectified() throws {
    let x = try Tensor([-1, 0, 2, -0.5, .infinity, 3], shape: [2, 3])
    #expect(try x.rectified().floats() == [0, 0, 2, 0, .infinity, 3])
  }

  @Test("pooling takes the largest of each square, and the last one may reach over the edge", arguments: [5, 6, 7, 20])
  func maxPooled(size: Int) throws {
    let (height, width, channels) = (size, size + 1, 5)
    let x = random("pooled", [2, height, width, channels]).value
    let found = try x.maxPooled(window: 3, stride: 2)
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

  @Test("other types and pictures below the window are refused")
  func refusals() {
    func code(_ body: () throws -> Tensor) -> TensorError.Code? {
      #expect(throws: TensorError.self) { try body() }?.code
    }
    #expect(code { try Tensor.zeros([1, 2, 4, 1]).maxPooled(window: 3, stride: 2) } == .shape)
    #expect(code { try Tensor.zeros([1, 4, 4, 1]).maxPooled(window: 2, stride: 3) } == .shape)
    #expect(code { try Tensor.zeros([1, 4, 4, 1], .bf16).maxPooled(window: 2, stride: 2) } == .dtype)
    #expect(code { try Tensor.zeros([4], .bf16).rectified() } == .dtype)
  }
}
