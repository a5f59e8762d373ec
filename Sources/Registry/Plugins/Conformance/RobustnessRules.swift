internal import Bundles
internal import CPluginABI
internal import CSandbox

extension Conformance {
  /// Cancellation, and calls that nobody thought of.
  static let robustnessRules: [Rule] = [
    Rule("P301", "When the host cancels, a call ends well or with CODI_CANCELLED, and the instance stays usable.") {
      subject in
      let process = try subject.running(isCancelled: { true })
      let inputs = try subject.inputs(64, 64)
      for _ in 0..<3 {
        let size = try subject.outputSize(process, 64, 64)
        let channels = subject.profile.conditionChannels
        let shape = try PictureRegion(
          [Float](repeating: 0, count: size.width * size.height * channels), width: size.width, height: size.height,
          channels: channels)
        let (answer, _) = try process.compute(
          CH_PREPARE, 0, inputs: inputs.map { SharedView($0) }, outputs: [SharedView(writing: shape.region, of: shape)])
        guard [CODI_OK, CODI_CANCELLED].contains(answer.status) else {
          throw Broken(reason: "prepare gave status \(answer.status): \(answer.message)")
        }
      }
    },
    Rule("P302", "No call with sizes, regions and values by chance crashes, hangs or writes where it must not.") {
      subject in
      let process = try subject.running()
      var draws = Draws(key: SampleKey(low: subject.seed, high: 0xF022))
      for call in 0..<subject.calls {
        do {
          let (width, height) = (1 + draws.next(48), 1 + draws.next(48))
          let inputs = try subject.inputs(width, height, UInt64(call))
          let size = try subject.outputSize(process, width, height)
          let (x, y) = (draws.next(size.width), draws.next(size.height))
          var region = Region(
            x: x, y: y, width: 1 + draws.next(size.width - x), height: 1 + draws.next(size.height - y))
          if !subject.profile.isTiled { region = Region(x: 0, y: 0, width: size.width, height: size.height) }
          var layout = ConformanceSubject.Layout()
          layout.instance = UInt32(draws.next(2))
          layout.padding = draws.next(3) * draws.next(40)
          layout.cut = draws.next(2) == 0
          layout.fill = .nan
          let isPrepare = draws.next(2) == 0
          let values =
            isPrepare
            ? try subject.prepare(process, inputs, region: region, layout)
            : try subject.finish(process, inputs, region: region, layout)
          guard values.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
            throw Broken(reason: "\(isPrepare ? "prepare" : "finish") of \(region) left values that are not finite.")
          }
        } catch let broken as Broken {
          throw Broken(reason: "call \(call) with --seed \(subject.seed): \(broken.reason)")
        } catch let error as PluginError {
          throw Broken(reason: "call \(call) with --seed \(subject.seed): \(error.reason)")
        }
      }
    },
    Rule("P303", "Parameters by chance are taken or refused, and never crash.") { subject in
      let process = try subject.start()
      var draws = Draws(key: SampleKey(low: subject.seed, high: 0xF023))
      for call in 0..<min(100, subject.calls) {
        var values: [String: ParameterValue] = [:]
        for parameter in subject.profile.parameters where draws.next(3) > 0 {
          let texts = ["", "a", String(repeating: "x", count: 4000), "\u{1F600}", "%s%n", "../../etc/passwd"]
          values[parameter.name] =
            draws.next(2) == 0
            ? .number(Double(draws.next(4000) - 2000) / 1000) : .text(texts[draws.next(texts.count)])
        }
        if draws.next(4) == 0 { values[String(repeating: "n", count: 1 + draws.next(300))] = .number(.nan) }
        do {
          let answer = try process.create(0, parameters: values, seed: UInt64(call))
          if answer.status == CODI_OK { try process.destroy(0) }
        } catch { throw Broken(reason: "call \(call) with --seed \(subject.seed): \(error)") }
      }
    },
  ]

  /// Whole numbers by key: the same seed, the same calls.
  private struct Draws {
    let key: SampleKey
    private var index: UInt64 = 0

    init(key: SampleKey) { self.key = key }

    /// One of `0 ..< count`.
    mutating func next(_ count: Int) -> Int {
      defer { index += 1 }
      return Int(KeyedRandom.block(key, index).0) % max(1, count)
    }
  }
}
