import Imaging
import Metrics
import Testing

@Suite("PSNR and SSIM") struct SimilarityTests {
  @Test("PSNR in closed form: a difference of d everywhere is 20 log₁₀(255 / d)")
  func closedForm() {
    let a = Bitmap(width: 4, height: 3, red: 10, green: 20, blue: 30)
    let b = Bitmap(width: 4, height: 3, red: 13, green: 17, blue: 33)
    #expect(abs(PSNR.rgb(a, b) - 38.58839) < 1e-4)
    #expect(PSNR.rgb(a, a) == .infinity)
    #expect(abs(PSNR.of([0, 0.5], [0.1, 0.4]) - 20) < 1e-5)
    #expect(abs(PSNR.of([0, 0.5], [0.1, 0.4], peak: 2) - 26.0206) < 1e-4)
  }

  @Test("PSNR and SSIM agree with numpy and PyTorch")
  func reference() throws {
    let golden = try Golden()
    let (a, b) = (try golden.bitmap("pair.a"), try golden.bitmap("pair.b"))
    #expect(abs(PSNR.rgb(a, b) - (try golden.values("psnr")[0])) < 1e-4)
    #expect(abs(try SSIM.luma(a, b) - (try golden.values("ssim")[0])) < 1e-6)
  }

  @Test("SSIM in closed form: 1 for equals; for flat pictures only the luminance term is left")
  func flat() throws {
    let picture = noise(width: 16, height: 12)
    #expect(abs(try SSIM.luma(picture, picture) - 1) < 1e-12)
    let a = Bitmap(width: 11, height: 11, red: 100, green: 100, blue: 100)
    let b = Bitmap(width: 11, height: 11, red: 150, green: 150, blue: 150)
    let c1 = 2.55 * 2.55
    let expected = (2 * 100 * 150 + c1) / (100 * 100 + 150 * 150 + c1)
    #expect(abs(try SSIM.luma(a, b) - expected) < 1e-9)
  }

  @Test("SSIM refuses pictures that hold no window")
  func tooSmall() {
    let error = #expect(throws: MetricsError.self) {
      try SSIM.luma(noise(width: 10, height: 40), noise(width: 10, height: 40))
    }
    #expect(error?.code == .tooSmall)
  }
}

@Suite("Energy of fine detail") struct EnergyRatioTests {
  @Test("half the contrast is a quarter of the energy; a smooth picture has none, and none to compare with")
  func closedForm() {
    let board = Bitmap(
      width: 8, height: 6,
      pixels: (0..<48).flatMap { i in [UInt8](repeating: (i + i / 8) % 2 == 0 ? 88 : 168, count: 3) })
    let softer = Bitmap(width: 8, height: 6, pixels: board.pixels.map { $0 == 88 ? 108 : 148 })
    let flat = Bitmap(width: 8, height: 6, red: 128, green: 128, blue: 128)
    #expect(EnergyRatio.of(board, original: board) == 1)
    #expect(abs((EnergyRatio.of(softer, original: board) ?? 0) - 0.25) < 1e-12)
    #expect(EnergyRatio.of(flat, original: board) == 0)
    #expect(EnergyRatio.of(board, original: flat) == nil)
    #expect(EnergyRatio.of(noise(width: 1, height: 4), original: noise(width: 1, height: 4)) == nil)
  }

  @Test("bicubic enlargement loses fine detail")
  func enlarged() throws {
    let picture = noise(width: 64, height: 48)
    let blurred = Resize.bicubic(Resize.bicubic(picture, width: 16, height: 12), width: 64, height: 48)
    #expect(try #require(EnergyRatio.of(blurred, original: picture)) < 0.05)
  }
}
