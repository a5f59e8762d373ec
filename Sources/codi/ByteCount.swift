/// A number of bytes as users write it: `500M`, `1.5G`, `800MB`, `2GiB`.
enum ByteCount {
  /// K, M, G and T are powers of 1024, as in `sort` and Slurm, with or without `iB`; KB, MB, GB and TB of 1000.
  /// - Returns: `nil` for what is no such number, or not positive.
  static func parse(_ text: String) -> Int? {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let number = Double(digits), number > 0 else { return nil }
    let unit = text.dropFirst(digits.count).uppercased()
    let units: [String: Double] = ["": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4]
    var (base, letter) = (1024.0, unit)
    if unit.count == 3, unit.hasSuffix("IB") {
      letter = String(unit.prefix(1))
    } else if unit.count == 2, unit.hasSuffix("B") {
      (base, letter) = (1000.0, String(unit.prefix(1)))
    }
    guard let power = units[letter] else { return nil }
    var bytes = number
    for _ in 0..<Int(power) { bytes *= base }
    return bytes < 9e18 ? Int(bytes) : nil
  }
}
