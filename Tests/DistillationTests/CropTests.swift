import Distillation
import Foundation
import Imaging
import Testing

@Suite struct CropTests {
  func render(_ crop: Crop, _ picture: Bitmap, size: Int) -> [Float] {
    [Float](unsafeUninitializedCapacity: size * size * 3) { buffer, count in
      crop.render(picture, size: size, into: UnsafeMutableBufferPointer(rebasing: buffer[..<(size * size * 3)]))
      count = size * size * 3
    }
  }

  @Test("a constant stays constant at every scale and place", arguments: [16, 17.3, 30, 49.9, 60] as [Float])
  func constant(side: Float) {
    let picture = Bitmap(width: 60, height: 70, red: 200, green: 0, blue: 77)
    let out = render(Crop(x: 60 - side, y: 0.31 * (70 - side), side: side), picture, size: 16)
    for (i, value) in out.enumerated() {
      #expect(abs(value - [200 / 127.5 - 1, -1, 77 / 127.5 - 1][i % 3]) < 1e-5)
    }
  }

  @Test("a ramp stays a ramp inside", arguments: [16, 32, 37.7, 48] as [Float])
  func ramp(side: Float) {
    var picture = Bitmap(width: 120, height: 120, red: 0, green: 0, blue: 0)
    for i in 0..<14_400 {
      picture.pixels[3 * i] = UInt8(2 * (i % 120))
      picture.pixels[3 * i + 1] = UInt8(2 * (i / 120))
    }
    let x: Float = 33.25
    let y: Float = 41.5
    let scale = side / 16
    let out = render(Crop(x: x, y: y, side: side), picture, size: 16)
    // Pixel i holds 2·i at its centre i + 0.5. A scaled kernel meets the lattice at changing phases: not quite exact.
    let tolerance: Float = scale == scale.rounded() ? 1e-4 : 0.05 * scale * 2 / 127.5
    for row in 0..<16 {
      for column in 0..<16 {
        let at = (row * 16 + column) * 3
        #expect(abs(out[at] - (2 * (x + (Float(column) + 0.5) * scale - 0.5) / 127.5 - 1)) < tolerance)
        #expect(abs(out[at + 1] - (2 * (y + (Float(row) + 0.5) * scale - 0.5) / 127.5 - 1)) < tolerance)
      }
    }
  }

  // Pillow 13.0.0:
  // im = Image.new("F", (13, 11)); im.putpixel((x, y), (x * 37 + y * 91 + x * y * 5) % 256) for all x, y
  // im.resize((4, 4), Image.BICUBIC, box=box)
  @Test("resampling is Pillow's bicubic, at the picture's edges too")
  func pillow() {
    var picture = Bitmap(width: 13, height: 11, red: 0, green: 0, blue: 0)
    for y in 0..<11 {
      for x in 0..<13 { picture.pixels[(y * 13 + x) * 3] = UInt8((x * 37 + y * 91 + x * y * 5) % 256) }
    }
    let expected: [(Crop, [Float])] = [
      (
        Crop(x: 1.5, y: 0.25, side: 9.25),
        [
          118.995, 112.601, 126.254, 139.6, 121.88, 123.343, 155.05, 136.069, 117.8, 149.453, 152.762, 132.987, 114.506,
          116.72, 142.415, 110.43,
        ]
      ),
      (
        Crop(x: 0, y: 0, side: 11),
        [
          106.843, 115.546, 126.076, 134.767, 115.585, 126.401, 150.052, 140.35, 109.168, 130.008, 148.553, 119.38,
          133.044, 122.719, 136.399, 128.611,
        ]
      ),
    ]
    for (crop, values) in expected {
      let out = render(crop, picture, size: 4)
      for i in 0..<16 { #expect(abs((out[3 * i] + 1) * 127.5 - values[i]) < 0.002) }
    }
  }

  @Test("a flipped crop is the mirror image")
  func flip() {
    let picture = numbered(3)
    let plain = render(Crop(x: 7.5, y: 20, side: 40), picture, size: 16)
    let flipped = render(Crop(x: 7.5, y: 20, side: 40, isFlipped: true), picture, size: 16)
    for row in 0..<16 {
      for column in 0..<16 {
        for c in 0..<3 {
          #expect(plain[(row * 16 + column) * 3 + c] == flipped[(row * 16 + 15 - column) * 3 + c])
        }
      }
    }
    #expect(plain != flipped)
  }

  @Test("scales are log-uniform from the cached pixels to the shorter side, places uniform, half are flipped")
  func distribution() {
    let n = 20_000
    let crops = (0..<n).map { sample in
      var random = Philox(seed: 5, step: 0, sample: sample)
      return Crop(size: 32, width: 200, height: 266, using: &random)
    }
    func deviation(_ values: [Float]) -> Float {  // Kolmogorov–Smirnov distance from uniform
      values.sorted().enumerated().map { abs($0.element - (Float($0.offset) + 0.5) / Float(n)) }.max() ?? 1
    }
    #expect(deviation(crops.map { log($0.side / 32) / log(200 / 32) }) < 0.012)
    #expect(deviation(crops.map { $0.y / (266 - $0.side) }) < 0.012)
    #expect(abs(crops.count { $0.isFlipped } - n / 2) < 300)
    #expect(crops.allSatisfy { $0.side >= 32 && $0.side <= 200 && $0.x >= 0 && $0.y >= 0 })
    #expect(crops.allSatisfy { $0.x + $0.side <= 200.001 && $0.y + $0.side <= 266.001 })
  }
}
