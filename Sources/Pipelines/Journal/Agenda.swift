/// What a start of a job finds to do.
struct Agenda: Sendable {
  var todo: [Work] = []
  /// Places in the plan that need nothing.
  var skipped: [(number: Int, reason: JobEvent.SkipReason)] = []
  /// The different settings of the pictures to do.
  var settings: [Chain.Settings] = []
}

/// A picture to convert; small, for there may be a million.
struct Work: Sendable {
  /// Place in the plan.
  let number: Int
  /// Place among the agenda's settings.
  let settings: Int
  /// Number of the way of making in the journal.
  let making: Int64
  /// Attempts in earlier runs.
  let attempts: Int
  /// It was under way when an earlier run was killed, and may have been the cause.
  let isSuspect: Bool
}

extension Job {
  /// Compares this share's part of the plan with the journal and the files that are there, and notes what is planned.
  ///
  /// Pictures that were under way when an earlier run was killed come last, and one at a time, so that one which kills the
  /// process does not keep the others from being made.
  /// - Throws: `ConversionError`: `options` for a parameter that is none; `existing` under `--existing error` when a name
  ///   is taken by another file than the job would write.
  func agenda(isDryRun: Bool = false) throws(ConversionError) -> Agenda {
    var agenda = Agenda()
    var known: [ItemChoices: (index: Int, id: Int64, making: Making)] = [:]
    var interrupted: [Work] = []
    var taken: [(path: String, reason: String)] = []
    let numbers = plan.items.indices.filter { options.share.contains($0) }
    var new: [ItemRecord] = []
    for start in stride(from: 0, to: numbers.count, by: 1000) {
      let some = numbers[start..<min(start + 1000, numbers.count)]
      let keys = some.map { plan.key(of: plan.items[$0]) }
      for (number, (key, record)) in zip(some, zip(keys, try journal.records(keys))) {
        let item = plan.items[number]
        try chain.check(item)
        if known[item.choices] == nil {
          let settings = try settings(of: item)
          let making = chain.making(settings)
          known[item.choices] = (agenda.settings.count, try journal.id(of: making), making)
          agenda.settings.append(settings)
        }
        guard let making = known[item.choices] else { continue }
        switch try Standing(item, record, making: (making.id, making.making), journal: journal) {
        case .done:
          agenda.skipped.append((number, .done))
          continue
        case .other(let reason):
          if options.existing == .skip {
            agenda.skipped.append((number, .exists))
            continue
          }
          if options.existing == .error { taken.append((item.output, reason)) }
        case .missing: break
        }
        let work = Work(
          number: number, settings: making.index, making: making.id, attempts: record?.attempts ?? 0,
          isSuspect: record?.state == .running)
        if work.isSuspect { interrupted.append(work) } else { agenda.todo.append(work) }
        if record == nil { new.append(ItemRecord(output: key, input: item.input, making: making.id)) }
      }
    }
    if let first = taken.first {
      let more = taken.count > 1 ? " So it is with \(taken.count - 1) more; nothing was converted." : ""
      throw ConversionError(
        .existing, at: first.path, first.reason + more,
        remedy: "--existing overwrite converts again what differs, --existing skip leaves what is there, and another "
          + "--out keeps both.")
    }
    agenda.todo += interrupted
    if !isDryRun { try journal.save(new) }
    return agenda
  }

  /// What the picture is made with; a mistake is told with the line that it is in.
  private func settings(of item: JobItem) throws(ConversionError) -> Chain.Settings {
    do { return try chain.settings(item.choices) } catch {
      throw ConversionError(
        error.code, at: item.place.map { "\($0): \(error.location)" } ?? error.location, error.reason,
        remedy: error.remedy)
    }
  }
}
