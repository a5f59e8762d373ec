import CPluginABI
import PluginKit

/// Enlargement by `scale`, bicubic, limited to 0...1.
///
/// - Parameters:
///   - input: the user's picture; holds at least what `target` is made from.
///   - target: a region of the enlarged picture.
func enlarge(_ input: codi_view, into target: codi_view) throws(PluginError) {
  let columns = Band.bicubic(from: Int(input.full_width), to: Int(target.full_width), outputs: target.columns)
  let rows = Band.bicubic(from: Int(input.full_height), to: Int(target.full_height), outputs: target.rows)
  try input.require("image", channels: 3, columns: columns.inputs, rows: rows.inputs)
  resample(input, columns: columns, rows: rows, into: target)
  let count = Int(target.width) * 3
  for row in target.rows {
    let line = target.start(ofRow: row)
    for index in 0..<count { line[index] = min(max(line[index], 0), 1) }
  }
}

/// Writes `output`, the region of `result` led back to `input`: reduced four times (antialiased bicubic) it gives the
/// input again, as far as 0...1 allows. `strength` 0 leaves the result, 1 corrects it fully.
///
/// With D reducing and U enlarging, `y += U(x - D y)` repeated from `y₀` is `y₀ + U(r₀ + r₁ + …)` with `r₀ = x - D y₀`
/// and `rₖ₊₁ = rₖ - D U rₖ`. D U is a seven-tap band at the input's size, so only the first reduction and the last
/// enlargement touch pixels of the output.
func backProject(
  _ result: codi_view, onto input: codi_view, into output: codi_view, strength: Float
) throws(PluginError) {
  let x = BackProjectionAxis(size: Int(input.full_width), outputSize: Int(output.full_width), output.columns)
  let y = BackProjectionAxis(size: Int(input.full_height), outputSize: Int(output.full_height), output.rows)
  try input.require("image", channels: 3, columns: x.reduce.outputs, rows: y.reduce.outputs)
  try result.require("result", channels: 3, columns: x.needed, rows: y.needed)

  let start = Picture(columns: x.needed, rows: y.needed, of: result)
  start.copyClamped(result)
  var residual = Picture(columns: x.reduce.outputs, rows: y.reduce.outputs, of: input)
  resample(start.view, columns: x.reduce, rows: y.reduce, into: residual.view)
  residual.subtract(from: input)
  let correction = Picture(columns: x.enlarge.inputs, rows: y.enlarge.inputs, of: input)
  correction.add(residual)
  for (mixX, mixY) in zip(x.mixes, y.mixes) {
    let next = Picture(columns: mixX.outputs, rows: mixY.outputs, of: input)
    resample(residual.view, columns: mixX, rows: mixY, into: next.view)
    next.subtract(from: residual.view)
    residual = next
    correction.add(residual)
  }
  resample(correction.view, columns: x.enlarge, rows: y.enlarge, into: output)
  let count = Int(output.width) * 3
  for row in output.rows {
    let line = output.start(ofRow: row)
    let base = start.view.start(ofRow: row) + (Int(output.x) - Int(start.view.x)) * 3
    for index in 0..<count { line[index] = min(max(base[index] + strength * line[index], 0), 1) }
  }
}

/// What back-projection of a range of output pixels takes along one axis.
private struct BackProjectionAxis {
  /// Three rounds: the reduced result then differs from a natural picture by less than -50 dB.
  private static let rounds = 3

  /// U, from the correction to the output.
  let enlarge: Band
  /// D U for each round after the first, in the order they run; each reads what the one before wrote.
  let mixes: [Band]
  /// D, from the result to the first residual.
  let reduce: Band
  /// Pixels of the result that all this reads.
  let needed: Range<Int>

  init(size: Int, outputSize: Int, _ outputs: Range<Int>) {
    enlarge = .bicubic(from: size, to: outputSize, outputs: outputs)
    var mixes: [Band] = []
    var wanted = enlarge.inputs
    for _ in 1..<Self.rounds {
      let down = Band.bicubic(from: outputSize, to: size, outputs: wanted)
      let mix = Band.product(down, .bicubic(from: size, to: outputSize, outputs: down.inputs))
      mixes.append(mix)
      wanted = mix.inputs
    }
    self.mixes = mixes.reversed()
    reduce = .bicubic(from: outputSize, to: size, outputs: wanted)
    let (low, high) = (reduce.inputs.lowerBound, reduce.inputs.upperBound)
    needed = min(low, outputs.lowerBound)..<max(high, outputs.upperBound)
  }
}
