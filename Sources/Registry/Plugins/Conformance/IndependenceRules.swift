internal import CPluginABI
internal import CSandbox

extension Conformance {
  /// What a value must not depend on.
  static let independenceRules: [Rule] = [
    Rule("P201", "The same call gives the same bits again, in another instance and in another process.") { subject in
      let process = try subject.running()
      let other = try subject.running()
      let inputs = try subject.inputs(21, 17)
      let condition = try subject.prepare(process, inputs)[0]
      let finished = try subject.finish(process, inputs)[0]
      // Something else in between must leave no trace.
      _ = try subject.prepare(process, try subject.inputs(8, 30, 5))
      for (name, process, instance) in [
        ("again", process, UInt32(0)), ("in another instance", process, 1), ("in another process", other, 0),
      ] {
        try subject.requireSame(
          condition, try subject.prepare(process, inputs, .init(instance: instance))[0], "prepare \(name)")
        try subject.requireSame(
          finished, try subject.finish(process, inputs, .init(instance: instance))[0], "finish \(name)")
      }
    },
    Rule("P202", "Two instances that run at the same time on two threads give the same bits as one alone.") { subject in
      let process = try subject.running(secondThread: true)
      // Long enough for both threads to be in the middle of it.
      let side = 256 / max(1, try subject.outputSize(process, 32, 32).width / 32)
      let inputs = try subject.inputs(side, side)
      let alone = try subject.prepare(process, inputs)[0]
      for round in 0..<20 {
        for values in try subject.prepare(process, inputs, .init(instance: 0, second: 1)) {
          try subject.requireSame(alone, values, "prepare, at the same time, round \(round)")
        }
      }
      let finished = try subject.finish(process, inputs)[0]
      for round in 0..<20 {
        for values in try subject.finish(process, inputs, .init(instance: 0, second: 1)) {
          try subject.requireSame(finished, values, "finish, at the same time, round \(round)")
        }
      }
    },
    Rule("P203", "A region alone, with its halo and no more, has the bits that it has in the whole picture.") {
      subject in
      guard subject.profile.isTiled else { throw Skipped(reason: "The task works on whole pictures.") }
      let process = try subject.running()
      let inputs = try subject.inputs(29, 26)
      let size = try subject.outputSize(process, 29, 26)
      let condition = try subject.prepare(process, inputs)[0]
      let finished = try subject.finish(process, inputs)[0]
      for region in [
        Region(x: 0, y: 0, width: size.width, height: (size.height + 1) / 2),
        Region(x: size.width / 3, y: size.height / 2, width: size.width / 2, height: size.height / 3),
        Region(x: size.width - 1, y: size.height - 1, width: 1, height: 1),
        Region(x: 1, y: 0, width: 5, height: size.height),
      ] {
        func cut(_ values: [Float], _ channels: Int) throws -> [Float] {
          try PictureRegion(values, width: size.width, height: size.height, channels: channels).cropped(to: region)
            .values
        }
        try subject.requireSame(
          try cut(condition, subject.profile.conditionChannels),
          try subject.prepare(process, inputs, region: region, .init(cut: true))[0], "prepare of \(region)")
        try subject.requireSame(
          try cut(finished, 3), try subject.finish(process, inputs, region: region, .init(cut: true))[0],
          "finish of \(region)")
      }
    },
    Rule("P204", "degrade gives a sample the same bits in every batch and at every place in it, in 0...1.") { subject in
      let process = try subject.running()
      let side = 32
      let scale = max(1, try subject.outputSize(process, side, side).width / side)
      guard side % scale == 0 else { throw Skipped(reason: "The scale does not divide \(side).") }
      func degrade(_ samples: [UInt64]) throws -> [[Float]] {
        let channels = subject.profile.cleanChannels
        let clean = samples.flatMap { subject.values(side, side, channels, draw: 50 + $0) }
        let keys = samples.map { codi_key(low: $0, high: subject.seed) }
        let (answer, values) = try process.degrade(
          0, clean: (SharedView(batch: samples.count, width: side, height: side, channels: channels), clean),
          keys: keys,
          inputs: subject.profile.inputs.map {
            SharedView(batch: samples.count, width: side / scale, height: side / scale, channels: $0)
          })
        if answer.status == CODI_FAILED { throw Skipped(reason: "degrade says: \(answer.message)") }
        try subject.require(answer, "degrade")
        return values
      }
      let batch = try degrade([1, 2, 3, 4])
      let reversed = try degrade([4, 3, 2, 1])
      let alone = try degrade([3])
      for index in batch.indices {
        let count = batch[index].count / 4
        func sample(_ values: [Float], _ place: Int) -> [Float] { Array(values[place * count..<(place + 1) * count]) }
        try subject.requireSame(sample(batch[index], 2), sample(reversed[index], 1), "degrade at another place")
        try subject.requireSame(sample(batch[index], 2), alone[index], "degrade of one sample")
        guard batch[index].allSatisfy({ (0...1).contains($0) }) else {
          throw Broken(reason: "Not all values are in 0...1.")
        }
      }
    },
  ]
}
