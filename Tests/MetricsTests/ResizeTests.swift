import Imaging
import Metrics
import Testing

@Suite("Resize.bicubic is Pillow's BICUBIC") struct ResizeTests {
  @Test("bit for bit: four times smaller and larger, odd sizes, one axis alone, single pixels", arguments: 0..<9)
  func pillow(number: Int) throws {
    let golden = try Golden()
    let (source, expected) = (try golden.bitmap("resize.\(number).in"), try golden.bitmap("resize.\(number).out"))
    #expect(Resize.bicubic(source, width: expected.width, height: expected.height) == expected)
  }

  @Test("the same size gives the same picture")
  func same() {
    let picture = noise(width: 13, height: 9)
    #expect(Resize.bicubic(picture, width: 13, height: 9) == picture)
  }

  @Test("float32 values agree with the rounded ones, keep overshoots, and each picture of a batch is its own")
  func floats() throws {
    let picture = noise(width: 24, height: 20)
    let values = picture.pixels.map { Float($0) }
    let batch = Resize.bicubic(values + values.map { -$0 }, shape: [2, 20, 24, 3], width: 6, height: 30)
    let rounded = Resize.bicubic(picture, width: 6, height: 30).pixels
    #expect(batch.count == 2 * rounded.count)
    for i in rounded.indices {
      #expect(abs(batch[i] - Float(rounded[i])) < 1.5, "two roundings, one of them before the vertical weights")
      #expect(abs(batch[i] + batch[rounded.count + i]) < 1e-3)
    }
    let edge = Resize.bicubic([0, 0, 1, 1], shape: [1, 1, 4, 1], width: 16, height: 1)
    #expect((edge.max() ?? 0) > 1.01 && (edge.min() ?? 0) < -0.01)
  }

  @Test(
    "Kodak's 24 pictures, four times smaller and back, are 25.43 dB from themselves",
    .enabled(if: TestData.folder != nil, TestData.reason))
  func kodak() throws {
    let values = try TestData.kodak().map { picture in
      let small = Resize.bicubic(picture, width: picture.width / 4, height: picture.height / 4)
      return PSNR.rgb(Resize.bicubic(small, width: picture.width, height: picture.height), picture)
    }
    #expect(abs(values.reduce(0, +) / 24 - 25.42557) < 1e-4)
    #expect(abs(values[0] - 21.988) < 1e-3 && abs(values[1] - 28.710) < 1e-3)
  }
}
