import CPluginABI
import Glibc
import PluginKit

/// Draws the lines of a picture, dark on white, by a difference of Gaussians: Winnemöller, Kyprianidis and Olsen, "XDoG: an
/// eXtended difference-of-Gaussians compendium" (2012), Eq. 3 and 5 with lines alone: `D = G_σ − τ G_kσ`, ink
/// `tanh(φ (−D − ε))` where that is positive. Ink lies on the darker side of an edge. Of the three colours the one with the
/// most ink counts, so that red on green has lines too.
struct LineExtractor {
  /// Standard deviation of the finer Gaussian, pixels.
  let sigma: Float
  /// How much darker than around it a place must be to get ink, and how fast ink gets full.
  let threshold, steepness: Float
  /// Whether ink is there or not, as a pen's, or has shades.
  let isPen: Bool
  /// Discs without ink: `(x, y, radius)` over the shorter side. People leave lines out.
  let gaps: [(x: Float, y: Float, radius: Float)]

  /// The coarser Gaussian is wider by this: near the Laplacian (Eq. 3).
  static let ratio: Float = 1.6
  /// Below 1, so that flat places have `D > 0`, no ink.
  static let balance: Float = 0.98

  init(variety: Float, _ random: inout Random) {
    func drawn(_ middle: Float, _ factor: Float) -> Float {
      middle * expf(variety * logf(factor) * random.uniform(in: -1...1))
    }
    sigma = drawn(0.8, 1.6)
    threshold = drawn(0.005, 2.5)
    steepness = drawn(60, 2.5)
    isPen = random.uniform() < 0.5 * variety
    let count = Int(variety * random.uniform() * 3)
    gaps = (0..<count).map { _ in
      (x: random.uniform(), y: random.uniform(), radius: random.uniform(in: 0.03...0.12))
    }
  }

  /// - Parameters:
  ///   - picture: whole, three channels.
  ///   - drawing: whole, one channel, of the same size.
  func draw(_ picture: codi_view, into drawing: codi_view) {
    let (width, height) = (Int(picture.width), Int(picture.height))
    var deepest = [Float](repeating: -1, count: width * height)
    for channel in 0..<3 {
      var light = deepest
      for row in 0..<height {
        let line = picture.start(ofRow: row)
        for column in 0..<width {
          let value = line[3 * column + channel]
          light[row * width + column] = value > 0 ? (value < 1 ? value : 1) : 0
        }
      }
      let fine = Self.blurred(light, width, height, sigma)
      let coarse = Self.blurred(light, width, height, sigma * Self.ratio)
      for i in 0..<width * height { deepest[i] = max(deepest[i], Self.balance * coarse[i] - fine[i]) }
    }
    let side = Float(min(width, height))
    for row in 0..<height {
      for column in 0..<width {
        let i = row * width + column
        let excess = deepest[i] - threshold
        var ink = excess > 0 ? tanhf(steepness * excess) : 0
        if isPen { ink = ink > 0.5 ? 1 : 0 }
        for gap in gaps {
          let (x, y) = (Float(column) - gap.x * Float(width), Float(row) - gap.y * Float(height))
          if x * x + y * y < gap.radius * gap.radius * side * side { ink = 0 }
        }
        // As a file of 8 bits.
        drawing.data[i] = ((1 - ink) * 255).rounded() / 255
      }
    }
  }

  /// Convolved with a Gaussian along rows and columns; beyond its edges the picture is repeated from its last pixel.
  static func blurred(_ values: [Float], _ width: Int, _ height: Int, _ sigma: Float) -> [Float] {
    let radius = max(1, Int((3 * sigma).rounded(.up)))
    var kernel: [Float] = []
    var sum: Float = 0
    for offset in -radius...radius {
      let weight = expf(-Float(offset * offset) / (2 * sigma * sigma))
      kernel.append(weight)
      sum += weight
    }
    for k in kernel.indices { kernel[k] /= sum }
    var across = [Float](repeating: 0, count: values.count)
    for row in 0..<height {
      for column in 0..<width {
        var value: Float = 0
        for k in 0...2 * radius {
          value += kernel[k] * values[row * width + min(max(column + k - radius, 0), width - 1)]
        }
        across[row * width + column] = value
      }
    }
    var result = [Float](repeating: 0, count: values.count)
    for row in 0..<height {
      for column in 0..<width {
        var value: Float = 0
        for k in 0...2 * radius {
          value += kernel[k] * across[min(max(row + k - radius, 0), height - 1) * width + column]
        }
        result[row * width + column] = value
      }
    }
    return result
  }
}
