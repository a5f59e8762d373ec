import CPluginABI
import Glibc
import PluginKit

/// Makes of a clean picture the small one a user would have brought.
///
/// With probability `bicubicShare` that is a plain antialiased reduction; else two orders of blur, resizing, noise and
/// JPEG, after Real-ESRGAN (arXiv:2107.10833v2), Fig. 2, with ranges made milder for pictures of 64 to 128 pixels.
struct Degradation {
  let host: Host
  let bicubicShare: Float

  /// One pass of blur, resizing, noise and compression.
  private struct Order {
    let blurChance: Float
    /// Standard deviation of the blur, pixels.
    let blur: ClosedRange<Float>
    /// Size after resizing, as a share of the order's target size.
    let resize: ClosedRange<Float>
    let noiseChance: Float
    /// Standard deviation of Gaussian noise, of 0...1.
    let gaussian: ClosedRange<Float>
    /// Standard deviation of shot noise at full brightness, of 0...1.
    let shot: ClosedRange<Float>
    let jpegChance: Float
    let quality: ClosedRange<Float>
  }

  private static let first = Order(
    blurChance: 0.9, blur: 0.2...2.4, resize: 0.4...1.4, noiseChance: 0.8, gaussian: 0.004...0.08, shot: 0.003...0.1,
    jpegChance: 0.8, quality: 35...95)
  private static let second = Order(
    blurChance: 0.6, blur: 0.2...1.0, resize: 0.7...1.4, noiseChance: 0.6, gaussian: 0.004...0.04, shot: 0.003...0.05,
    jpegChance: 0.8, quality: 45...95)
  private static let greyNoiseChance: Float = 0.4
  private static let kernels = [CODI_RESIZE_BOX, CODI_RESIZE_BILINEAR, CODI_RESIZE_BICUBIC]

  /// Fills `input`, four times smaller than `clean`, from the draws of `random`.
  func apply(_ clean: codi_view, into input: codi_view, _ random: inout Random) throws(PluginError) {
    if random.uniform() < bicubicShare {
      try host.resize(clean, to: input, kernel: CODI_RESIZE_BICUBIC)
    } else {
      var picture = Picture(width: Int(clean.width), height: Int(clean.height))
      picture.copyClamped(clean)
      try pass(Self.first, &picture, Int(clean.width), Int(clean.height), &random)
      try compress(picture.view, Self.first, &random)
      try pass(Self.second, &picture, Int(input.width), Int(input.height), &random)
      // Compressing before or after the last reduction leaves different traces; both happen to pictures in the wild.
      let compressesFirst = random.uniform() < 0.5
      if compressesFirst { try compress(picture.view, Self.second, &random) }
      try host.resize(picture.view, to: input, kernel: kernel(&random))
      if !compressesFirst { try compress(input, Self.second, &random) }
    }
    for row in input.rows {
      let line = input.start(ofRow: row)
      for index in 0..<Int(input.width) * 3 { line[index] = (min(max(line[index], 0), 1) * 255).rounded() / 255 }
    }
  }

  /// Blur, resize to a share of `width` × `height`, noise.
  private func pass(
    _ order: Order, _ picture: inout Picture, _ width: Int, _ height: Int, _ random: inout Random
  ) throws(PluginError) {
    if random.uniform() < order.blurChance {
      picture = BlurKernel(sigma: order.blur, &random).applied(to: picture)
    }
    let share = random.uniform(in: order.resize)
    let resized = Picture(
      width: max(4, Int(Float(width) * share + 0.5)), height: max(4, Int(Float(height) * share + 0.5)))
    try host.resize(picture.view, to: resized.view, kernel: kernel(&random))
    picture = resized
    if random.uniform() < order.noiseChance { addNoise(order, picture, &random) }
  }

  private func kernel(_ random: inout Random) -> Int32 {
    Self.kernels[min(Int(random.uniform() * 3), 2)]
  }

  private func compress(_ picture: codi_view, _ order: Order, _ random: inout Random) throws(PluginError) {
    guard random.uniform() < order.jpegChance else { return }
    try host.roundTripJPEG(picture, quality: Int32(random.uniform(in: order.quality)))
  }

  /// Adds Gaussian or shot noise (Gaussian with a variance that grows with brightness), coloured or grey.
  private func addNoise(_ order: Order, _ picture: Picture, _ random: inout Random) {
    let isShot = random.uniform() < 0.5
    let isGrey = random.uniform() < Self.greyNoiseChance
    let deviation = random.uniform(in: isShot ? order.shot : order.gaussian)
    let values = picture.values
    let noise = random.normals(isGrey ? values.count / 3 : values.count)
    for index in 0..<values.count {
      let pixel = index - index % 3
      let brightness = isGrey ? (values[pixel] + values[pixel + 1] + values[pixel + 2]) / 3 : values[index]
      let scale = isShot ? deviation * max(brightness, 0).squareRoot() : deviation
      values[index] += scale * noise[isGrey ? index / 3 : index]
    }
  }
}
