public import CPluginABI
import Glibc

/// A sequence of draws from one key's stream; equal keys give equal sequences.
public struct Random {
  private let host: Host
  private let key: codi_key
  private var position: UInt64 = 0

  public init(_ host: Host, key: codi_key) {
    self.host = host
    self.key = key
  }

  /// One number, uniform in `0 ..< 1`.
  public mutating func uniform() -> Float {
    var value: Float = 0
    withUnsafeMutablePointer(to: &value) {
      host.random(key, from: position, into: UnsafeMutableBufferPointer(start: $0, count: 1))
    }
    position += 1
    return value
  }

  /// One number, uniform in `range`.
  public mutating func uniform(in range: ClosedRange<Float>) -> Float {
    range.lowerBound + (range.upperBound - range.lowerBound) * uniform()
  }

  /// `count` standard normal numbers (Box and Muller).
  public mutating func normals(_ count: Int) -> [Float] {
    let pairs = (count + 1) / 2
    var values = [Float](repeating: 0, count: 2 * pairs)
    values.withUnsafeMutableBufferPointer { values in
      host.random(key, from: position, into: values)
      for pair in 0..<pairs {
        let radius = (-2 * logf(1 - values[2 * pair])).squareRoot()
        let angle = 2 * Float.pi * values[2 * pair + 1]
        values[2 * pair] = radius * cosf(angle)
        values[2 * pair + 1] = radius * sinf(angle)
      }
    }
    position += UInt64(2 * pairs)
    if values.count > count { values.removeLast() }
    return values
  }
}
