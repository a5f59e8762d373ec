internal import Bundles
internal import CPluginABI
internal import CSandbox

extension Conformance {
  /// Opening, instances, parameters, sizes.
  static let lifeRules: [Rule] = [
    Rule("P001", "The library opens inside the sandbox and its descriptor is right.") { _ = try $0.start() },
    Rule("P002", "create makes instances with the manifest's default parameters, and destroy frees them.") { subject in
      let process = try subject.running()
      try process.destroy(1)
      try process.destroy(0)
      try subject.require(try process.create(0, parameters: subject.defaults, seed: 1), "create after destroy")
    },
    Rule("P003", "A parameter that it does not know is refused with CODI_BAD_PARAMETER and a sentence.") { subject in
      let process = try subject.start()
      let values = subject.defaults.merging(["no-such-parameter": .number(1)]) { $1 }
      let answer = try process.create(0, parameters: values, seed: 1)
      guard answer.status == CODI_BAD_PARAMETER else { throw Broken(reason: "create gave status \(answer.status).") }
      guard !answer.message.isEmpty else { throw Broken(reason: "The message is empty.") }
      guard !answer.message.contains("\u{FFFD}") else { throw Broken(reason: "The message is not UTF-8.") }
    },
    Rule("P004", "Parameters out of range, not a number, or of the wrong kind are refused.") { subject in
      let process = try subject.start()
      for parameter in subject.profile.parameters {
        var wrong: [ParameterValue] = []
        switch parameter.type {
        case .number, .integer:
          wrong = [.number(.nan), .text("x")]
          if let max = parameter.max { wrong += [.number(max + 1), .number(.infinity), .number(1e308)] }
          if let min = parameter.min { wrong += [.number(min - 1), .number(-.infinity)] }
        case .boolean: wrong = [.text("x")]
        case .choice: wrong = [.text("no such choice"), .number(1), .text("")]
        case .text: wrong = [.number(1)]
        }
        for value in wrong {
          let answer = try process.create(
            0, parameters: subject.defaults.merging([parameter.name: value]) { $1 }, seed: 1)
          guard answer.status == CODI_BAD_PARAMETER else {
            throw Broken(reason: "create with \(parameter.name) = \(value) gave status \(answer.status).")
          }
        }
      }
    },
    Rule("P005", "output_size answers the same every time, and impossible sizes with a refusal or a possible size.") {
      subject in
      let process = try subject.running()
      for (width, height) in [(1, 1), (1, 9), (640, 480), (5, 3)] {
        let size = try subject.outputSize(process, width, height)
        guard try subject.outputSize(process, width, height) == size else {
          throw Broken(reason: "\(width) x \(height) has two output sizes.")
        }
        if let scale = subject.profile.scale, size != (width * scale, height * scale) {
          throw Broken(
            reason: "\(width) x \(height) becomes \(size.width) x \(size.height), but the manifest's scale is \(scale)."
          )
        }
      }
      for (width, height): (Int32, Int32) in [(0, 0), (-1, 5), (.max, .max), (.min, 1), (.max, 1)] {
        let answer = try process.outputSize(0, width: width, height: height)
        if answer.status == CODI_OK, answer.size.width <= 0 || answer.size.height <= 0 {
          throw Broken(reason: "\(width) x \(height) becomes \(answer.size.width) x \(answer.size.height).")
        }
      }
    },
    Rule("P006", "Instances made, used and destroyed many times leave no memory behind.") { subject in
      let process = try subject.start()
      let inputs = try subject.inputs(24, 16)
      func rounds(_ count: Int) throws -> Int {
        for _ in 0..<count {
          try subject.require(try process.create(0, parameters: subject.defaults, seed: 1), "create")
          _ = try subject.prepare(process, inputs)
          _ = try subject.finish(process, inputs)
          try process.destroy(0)
        }
        return process.residentBytes
      }
      let before = try rounds(60)
      let after = try rounds(200)
      guard after - before <= 1 << 20 else {
        throw Broken(reason: "200 rounds took \((after - before) / 1024) KiB more.")
      }
    },
    Rule("P007", "The library needs no other library than libc and libm, and has no run path.", isStatic: true) {
      subject in
      let library: SharedLibrary
      do { library = try SharedLibrary(try subject.file.bytes()) } catch let error as SharedLibrary.Malformed {
        throw Broken(reason: "Its bytes cannot be read: \(error.reason).")
      }
      guard library.surplus.isEmpty else {
        throw Broken(reason: "It \(library.surplus.joined(separator: ", it ")).")
      }
    },
  ]
}
