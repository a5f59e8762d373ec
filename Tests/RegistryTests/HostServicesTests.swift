import CPluginABI
import Logging
import Registry
import Testing

@Suite("Services of the host") struct HostServicesTests {
  let services = HostServices(log: Logger(label: "test"), isCancelled: { false })

  @Test("random blocks are Philox4x32-10's known answers (Random123, kat_vectors)")
  func philox() {
    let zero = KeyedRandom.block(SampleKey(low: 0, high: 0), 0)
    #expect(zero == (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    let ones = KeyedRandom.block(SampleKey(low: .max, high: .max), .max)
    #expect(ones == (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    // Counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0.
    let pi = KeyedRandom.block(
      SampleKey(low: 0x299f_31d0_a409_3822, high: 0x0370_7344_1319_8a2e), 0x85a3_08d3_243f_6a88)
    #expect(pi == (0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test("a stream is the same numbers and bytes wherever reading starts")
  func randomStreams() {
    let table = services.table()
    let key = codi_key(low: 5, high: 6)
    var floats = [Float](repeating: -1, count: 4000)
    table.random_floats(table.context, key, 0, &floats, floats.count)
    var bytes = [UInt8](repeating: 0, count: 4000)
    table.random_bytes(table.context, key, 0, &bytes, bytes.count)
    for start in [1, 2, 3, 4, 7, 130] {
      var some = [Float](repeating: -1, count: 9)
      table.random_floats(table.context, key, UInt64(start), &some, 9)
      #expect(some == Array(floats[start..<start + 9]))
      var few = [UInt8](repeating: 0, count: 9)
      table.random_bytes(table.context, key, UInt64(start), &few, 9)
      #expect(few == Array(bytes[start..<start + 9]))
    }
    for index in 0..<1000 {
      let word = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[4 * index + $1]) << (8 * UInt32($1)) }
      #expect(floats[index] == Float(word >> 8) * 0x1p-24)
    }
    let mean = floats.reduce(0, +) / 4000
    #expect(abs(mean - 0.5) < 0.03 && floats.allSatisfy { (0..<1).contains($0) })
  }

  /// Recorded with Pillow 13.0.0, mode F: a row of values resized to five and to three pixels.
  @Test("resizing a row gives Pillow's values", arguments: ResizeCase.pillow)
  func resizeAsPillow(_ expected: ResizeCase) {
    let table = services.table()
    var source: [Float] = [0.1, 0.9, 0.3, 0.7, 0.2, 0.8, 0.65, 0.05]
    for wanted in [expected.five, expected.three, expected.nineteen] {
      var target = [Float](repeating: -1, count: wanted.count)
      var column = target
      var error = [CChar](repeating: 0, count: Int(CODI_ERROR_SIZE))
      source.withUnsafeMutableBufferPointer { from in
        target.withUnsafeMutableBufferPointer { to in
          var input = codi_view(row: from.baseAddress, width: 8, height: 1)
          var output = codi_view(row: to.baseAddress, width: wanted.count, height: 1)
          #expect(table.resize(table.context, &input, &output, expected.kernel, &error) == CODI_OK)
        }
        column.withUnsafeMutableBufferPointer { to in
          var input = codi_view(row: from.baseAddress, width: 1, height: 8)
          var output = codi_view(row: to.baseAddress, width: 1, height: wanted.count)
          #expect(table.resize(table.context, &input, &output, expected.kernel, &error) == CODI_OK)
        }
      }
      #expect(zip(target, wanted).allSatisfy { abs($0 - $1) < 2e-6 }, "kernel \(expected.kernel): \(target)")
      #expect(column == target, "both axes alike")
    }
  }

  @Test("JPEG changes a picture a little, the more the lower the quality, and respects the row stride")
  func jpeg() {
    let table = services.table()
    func roundTrip(_ quality: Int32) -> (status: Int32, error: Float, untouched: Bool) {
      var values = [Float](repeating: 2, count: 20 * 52)
      for y in 0..<20 {
        for x in 0..<16 {
          for c in 0..<3 { values[y * 52 + x * 3 + c] = Float((x * 7 + y * 5 + c * 40) % 97) / 96 }
        }
      }
      let before = values
      var error = [CChar](repeating: 0, count: Int(CODI_ERROR_SIZE))
      let status = values.withUnsafeMutableBufferPointer { values in
        var view = codi_view(
          data: values.baseAddress, row_stride: 52, width: 16, height: 20, channels: 3, x: 0, y: 0, full_width: 16,
          full_height: 20)
        return table.jpeg_roundtrip(table.context, &view, quality, &error)
      }
      let difference = zip(values, before).reduce(Float(0)) { $0 + abs($1.0 - $1.1) } / Float(16 * 20 * 3)
      let untouched = (0..<20).allSatisfy { y in (48..<52).allSatisfy { values[y * 52 + $0] == 2 } }
      return (status, difference, untouched)
    }
    let good = roundTrip(95)
    let bad = roundTrip(20)
    #expect(good.status == CODI_OK && bad.status == CODI_OK && good.untouched && bad.untouched)
    #expect(good.error > 0 && bad.error > 2 * good.error && bad.error < 0.3)
    #expect(roundTrip(0).status != CODI_OK && roundTrip(101).status != CODI_OK)
  }
}

struct ResizeCase: Sendable, CustomTestStringConvertible {
  let kernel: Int32
  let five: [Float], three: [Float], nineteen: [Float]
  var testDescription: String { "kernel \(kernel)" }

  static let pillow: [ResizeCase] = [
    ResizeCase(
      kernel: 0, five: [0.5, 0.3, 0.45, 0.8, 0.35],
      three: [0.4333333, 0.45, 0.5],
      nineteen: [0.1, 0.1, 0.9, 0.9, 0.9, 0.3, 0.3, 0.7, 0.7, 0.2, 0.2, 0.2, 0.8, 0.8, 0.65, 0.65, 0.65, 0.05, 0.05]),
    ResizeCase(
      kernel: 1, five: [0.4272727, 0.5296296, 0.4583333, 0.65, 0.2954545],
      three: [0.5105263, 0.4988095, 0.4763158],
      nineteen: [
        0.1, 0.2052632, 0.5421053, 0.8789473, 0.6631579, 0.4105263, 0.3947369, 0.5631579, 0.6605263, 0.45, 0.2394737,
        0.4052632, 0.6578947, 0.7723684, 0.7092105, 0.6342105, 0.3815789, 0.1289474, 0.05,
      ]),
    ResizeCase(
      kernel: 2, five: [0.4262749, 0.5610364, 0.432675, 0.6775687, 0.2904565],
      three: [0.4915767, 0.5144751, 0.4730957],
      nineteen: [
        0.02245431, 0.1724982, 0.5676418, 0.8958736, 0.7172292, 0.368607, 0.3450312, 0.5912915, 0.6875073, 0.4375,
        0.2052213, 0.3526976, 0.6860772, 0.8245699, 0.777114, 0.639423, 0.3618912, 0.1000764, -0.008159266,
      ]),
    ResizeCase(
      kernel: 3, five: [0.4235326, 0.6042416, 0.3945661, 0.6877753, 0.3029164],
      three: [0.4784542, 0.54072, 0.4626587],
      nineteen: [
        -0.04289059, 0.1909436, 0.5818377, 0.8935246, 0.7434679, 0.375535, 0.3275092, 0.5915971, 0.6880139, 0.4387228,
        0.2064246, 0.3208768, 0.6479229, 0.8725888, 0.8661329, 0.631084, 0.325797, 0.09939644, -0.03219805,
      ]),
  ]
}

extension codi_view {
  fileprivate init(row data: UnsafeMutablePointer<Float>?, width: Int, height: Int) {
    self.init(
      data: data, row_stride: Int64(width), width: Int32(width), height: Int32(height), channels: 1, x: 0, y: 0,
      full_width: Int32(width), full_height: Int32(height))
  }
}
