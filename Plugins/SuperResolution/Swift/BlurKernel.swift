import CPluginABI
import Glibc
import PluginKit

/// A square blur kernel: a Gaussian, round or stretched, or a sinc, whose ringing sharpening and codecs leave.
struct BlurKernel {
  private let radius: Int
  /// `(2 * radius + 1)²` weights, row-major, of sum 1.
  private var weights: [Float] = []

  private static let stretchedChance: Float = 0.3
  private static let sincChance: Float = 0.1
  private static let sincRadius = 6

  /// Draws a kind and its numbers; `sigma` is the range of a Gaussian's standard deviation, pixels.
  init(sigma: ClosedRange<Float>, _ random: inout Random) {
    let kind = random.uniform()
    let first = random.uniform(in: sigma)
    let second = kind < Self.stretchedChance ? random.uniform(in: sigma) : first
    let angle = random.uniform() * Float.pi
    let isSinc = kind > 1 - Self.sincChance
    radius = isSinc ? Self.sincRadius : max(1, Int((3 * max(first, second)).rounded(.up)))
    let cutoff = Float.pi * (1 + 2 * random.uniform()) / 3
    var sum: Float = 0
    for y in -radius...radius {
      for x in -radius...radius {
        let weight: Float
        if isSinc {
          weight = Self.sinc(Float(x * x + y * y).squareRoot(), cutoff: cutoff)
        } else {
          let u = (cosf(angle) * Float(x) + sinf(angle) * Float(y)) / first
          let v = (cosf(angle) * Float(y) - sinf(angle) * Float(x)) / second
          weight = expf(-0.5 * (u * u + v * v))
        }
        weights.append(weight)
        sum += weight
      }
    }
    for index in weights.indices { weights[index] /= sum }
  }

  /// The circular low-pass filter of Real-ESRGAN (arXiv:2107.10833v2), Eq. 6: `ωc / (2π r) · J₁(ωc r)`.
  private static func sinc(_ distance: Float, cutoff: Float) -> Float {
    if distance == 0 { return cutoff * cutoff / (4 * Float.pi) }
    return cutoff / (2 * Float.pi * distance) * Float(j1(Double(cutoff * distance)))
  }

  /// The blurred picture; beyond its edges the picture is repeated from its last pixel.
  func applied(to picture: Picture) -> Picture {
    let width = Int(picture.view.width)
    let height = Int(picture.view.height)
    let padded = Picture(width: width + 2 * radius, height: height + 2 * radius)
    for row in padded.view.rows {
      let from = picture.view.start(ofRow: min(max(row - radius, 0), height - 1))
      let to = padded.view.start(ofRow: row)
      for column in padded.view.columns {
        let source = min(max(column - radius, 0), width - 1) * 3
        for channel in 0..<3 { to[3 * column + channel] = from[source + channel] }
      }
    }
    let blurred = Picture(width: width, height: height)
    for row in 0..<height {
      let to = blurred.view.start(ofRow: row)
      for (index, weight) in weights.enumerated() {
        let side = 2 * radius + 1
        let from = padded.view.start(ofRow: row + index / side) + index % side * 3
        for i in 0..<width * 3 { to[i] += weight * from[i] }
      }
    }
    return blurred
  }
}
