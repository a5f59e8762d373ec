public import Imaging

/// Pictures to convert, the same at every run.
public enum Pictures {
  public enum Kind: String, CaseIterable, Sendable { case flat, gradient, noise, photo }

  public static func make(_ kind: Kind, width: Int, height: Int, seed: UInt32 = 1) -> Picture {
    var random = Congruential(state: seed)
    let discs = (0..<12).map { _ in
      (
        x: random.next() * Float(width), y: random.next() * Float(height), r: 2 + random.next() * Float(width) / 6,
        c: [random.next(), random.next(), random.next()]
      )
    }
    var pixels: [Float] = []
    for y in 0..<height {
      for x in 0..<width {
        for c in 0..<3 {
          switch kind {
          case .flat: pixels.append([0.6, 0.4, 0.3][c])
          case .gradient: pixels.append((Float(x) / Float(width) + Float(c * y) / Float(2 * height)) / 2)
          case .noise: pixels.append(random.next())
          case .photo:
            // Flat discs with hard edges on smooth shading, with a little grain.
            let (fx, fy) = (Float(x), Float(y))
            let disc = discs.last { ($0.x - fx) * ($0.x - fx) + ($0.y - fy) * ($0.y - fy) < $0.r * $0.r }
            let shade = 0.2 + 0.6 * Float(x + y) / Float(width + height)
            pixels.append(min(1, max(0, (disc?.c[c] ?? shade) * 0.9 + 0.05 + 0.03 * (random.next() - 0.5))))
          }
        }
      }
    }
    return Picture(width: width, height: height, pixels: pixels)
  }

  /// Writes a picture of drawn discs and shading.
  public static func write(_ path: String, _ width: Int, _ height: Int, seed: UInt32 = 1) throws {
    try Imaging.write(make(.photo, width: width, height: height, seed: seed), to: path)
  }

  private struct Congruential {
    var state: UInt32

    /// Uniform in 0 ..< 1.
    mutating func next() -> Float {
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(state >> 8) * 0x1p-24
    }
  }
}
