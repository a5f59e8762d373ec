internal import CPluginABI
internal import CSandbox

extension Conformance {
  /// Sizes small and odd enough to hit every edge.
  private static let sizes = [(1, 1), (1, 7), (3, 2), (17, 13), (33, 40)]

  /// What the functions write, and what they may touch.
  static let pictureRules: [Rule] = [
    Rule("P101", "prepare fills every value of its region, of tiny and odd pictures too.") { subject in
      let process = try subject.running()
      for (width, height) in sizes {
        let inputs = try subject.inputs(width, height)
        let first = try subject.prepare(process, inputs, .init(fill: 0.25))[0]
        try subject.requireSame(
          first, try subject.prepare(process, inputs, .init(fill: 0.75))[0],
          "prepare of an input of \(width) x \(height) left values as they were")
        guard first.allSatisfy(\.isFinite) else { throw Broken(reason: "\(width) x \(height): not all are finite.") }
      }
    },
    Rule("P102", "finish fills every value of its region, of tiny and odd pictures too.") { subject in
      let process = try subject.running()
      for (width, height) in sizes {
        let inputs = try subject.inputs(width, height)
        let first = try subject.finish(process, inputs, .init(fill: 0.25))[0]
        try subject.requireSame(
          first, try subject.finish(process, inputs, .init(fill: 0.75))[0],
          "finish of an input of \(width) x \(height) left values as they were")
        guard first.allSatisfy(\.isFinite) else { throw Broken(reason: "\(width) x \(height): not all are finite.") }
      }
    },
    Rule("P103", "The condition is in 0...1 when the inputs are.") { subject in
      let process = try subject.running()
      let values = try subject.prepare(process, try subject.inputs(31, 23))[0]
      let outside = values.filter { !(0...1).contains($0) }
      guard outside.isEmpty else {
        throw Broken(reason: "\(outside.count) of \(values.count) values are outside, such as \(outside[0]).")
      }
    },
    Rule("P104", "Rows may be longer than their values: what lies between them is neither read nor written.") {
      subject in
      let process = try subject.running()
      let inputs = try subject.inputs(19, 11)
      try subject.requireSame(
        try subject.prepare(process, inputs)[0], try subject.prepare(process, inputs, .init(padding: 5))[0],
        "prepare with longer rows")
      try subject.requireSame(
        try subject.finish(process, inputs)[0], try subject.finish(process, inputs, .init(padding: 5))[0],
        "finish with longer rows")
    },
    Rule("P105", "Values that are not numbers, infinite or huge bring no crash and no endless loop.") { subject in
      let process = try subject.running()
      for value: Float in [.nan, .infinity, -.infinity, 1e30, -1e30, .leastNonzeroMagnitude] {
        var inputs = try subject.inputs(13, 9)
        for index in inputs.indices {
          for place in stride(from: 0, to: inputs[index].values.count, by: 7) { inputs[index].values[place] = value }
        }
        _ = try broken { try subject.prepare(process, inputs) }
        _ = try broken { try subject.finish(process, inputs) }
        // The instance is as good as before.
        _ = try subject.prepare(process, try subject.inputs(5, 5))
      }
    },
    Rule("P106", "A view with a wrong number of channels is refused, not computed with.") { subject in
      let process = try subject.running()
      for (channels, isInput) in [(1, true), (4, true), (7, false)] {
        let inputs = try subject.inputs(9, 9)
        let size = try subject.outputSize(process, 9, 9)
        var wrongInput = try PictureRegion(
          [Float](repeating: 0.5, count: 81 * channels), width: 9, height: 9, channels: channels)
        if !isInput || channels == subject.profile.inputs[0] { wrongInput = inputs[0] }
        let outputChannels = isInput ? subject.profile.conditionChannels : channels
        guard outputChannels != subject.profile.conditionChannels || wrongInput.channels != inputs[0].channels else {
          continue
        }
        let shape = try PictureRegion(
          [Float](repeating: 0, count: outputChannels * size.width * size.height), width: size.width,
          height: size.height, channels: outputChannels)
        let (answer, _) = try process.compute(
          CH_PREPARE, 0, inputs: [SharedView(wrongInput)] + inputs.dropFirst().map { SharedView($0) },
          outputs: [SharedView(writing: shape.region, of: shape)])
        guard answer.status != CODI_OK else {
          throw Broken(
            reason: "prepare accepted \(wrongInput.channels) channels for \(inputs[0].channels), and "
              + "\(outputChannels) for \(subject.profile.conditionChannels).")
        }
      }
    },
  ]

  /// Lets a refusal by status pass, but nothing that ends the process.
  private static func broken<Result>(_ body: () throws -> Result) throws -> Result? {
    do { return try body() } catch is Broken { return nil }
  }
}

extension ConformanceSubject {
  func prepare(_ process: HostProcess, _ inputs: [PictureRegion], _ layout: Layout) throws -> [[Float]] {
    try prepare(process, inputs, region: nil, layout)
  }

  func finish(_ process: HostProcess, _ inputs: [PictureRegion], _ layout: Layout) throws -> [[Float]] {
    try finish(process, inputs, region: nil, layout)
  }
}
