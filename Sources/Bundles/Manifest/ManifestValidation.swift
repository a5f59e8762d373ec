extension Manifest {
  /// Checks every value; `node` is the text's tree, which knows the lines.
  func validate(_ node: Node, source: String) throws(BundleError) {
    let check = Checker(root: node, source: source)
    try check.name(name, "name")
    try check.word(task, "task")
    try check.line(summary, "summary")
    try check.license(license, "license")
    try checkKind(check)
    try checkCondition(check)
    try checkParameters(check)
    try checkSampling(check)
    try check.require(
      weights.file == BundleEntry.weights, "weights.file", "The weights must be in \(BundleEntry.weights).")
    try check.digest(weights.sha256, "weights.sha256")
    try check.require(weights.parameters > 0, "weights.parameters", "The number of parameters must be positive.")
    try checkPlugin(check)
    try checkTraining(check)
  }

  private func checkKind(_ check: Checker) throws(BundleError) {
    let parts: [(String, Bool, Kind)] = [
      ("requires.core", requires.core != nil, .adapter), ("requires.core-digest", requires.coreDigest != nil, .adapter),
      ("condition", condition != nil, .adapter), ("geometry", geometry != nil, .adapter),
      ("plugin", plugin != nil, .adapter), ("sampling", sampling != nil, .adapter), ("network", network != nil, .core),
    ]
    for (path, isPresent, owner) in parts {
      if owner == kind {
        try check.require(isPresent, path, "A bundle of kind \(kind.rawValue) needs \"\(path)\".", .missingKey)
      } else if path != "sampling" {
        try check.require(!isPresent, path, "A bundle of kind \(kind.rawValue) has no \"\(path)\".", .unknownKey)
      }
    }
    try check.require(kind == .adapter || parameters.isEmpty, "parameters", "A core has no parameters.")
    try check.require(
      kind == .adapter || encoder == nil, "encoder", "A bundle of kind core has no \"encoder\".", .unknownKey)
    if let network {
      try check.require(network.pairs?.isEmpty == false, "network", "The network must be a mapping with keys.")
    }
    if let core = requires.core { try check.name(core, "requires.core") }
    if let digest = requires.coreDigest {
      try check.require(
        digest.hasPrefix("sha256:") && SHA256.isHex(String(digest.dropFirst(7))), "requires.core-digest",
        "A digest is \"sha256:\" and 64 hexadecimal digits in lower case.")
    }
  }

  private func checkCondition(_ check: Checker) throws(BundleError) {
    if let condition {
      try check.require(!condition.inputs.isEmpty, "condition.inputs", "There must be at least one input.")
      try check.unique(condition.inputs.map(\.name), "condition.inputs")
      for (i, input) in condition.inputs.enumerated() { try check.word(input.name, "condition.inputs[\(i)].name") }
      try check.require((1...1024).contains(condition.channels), "condition.channels", "Channels are 1 to 1024.")
    }
    if let geometry {
      try check.require((1...64).contains(geometry.scale), "geometry.scale", "The scale is 1 to 64.")
      try check.require((0...4096).contains(geometry.halo), "geometry.halo", "The halo is 0 to 4096 pixels.")
    }
  }

  private func checkParameters(_ check: Checker) throws(BundleError) {
    try check.unique(parameters.map(\.name), "parameters")
    for (i, parameter) in parameters.enumerated() {
      let path = "parameters[\(i)]"
      try check.word(parameter.name, "\(path).name")
      try check.line(parameter.summary, "\(path).summary")
      let isNumber = parameter.type == .number || parameter.type == .integer
      for (key, bound) in [("min", parameter.min), ("max", parameter.max)] {
        guard let bound else { continue }
        try check.require(isNumber && bound.isFinite, "\(path).\(key)", "Only numbers have finite bounds.")
      }
      if let min = parameter.min, let max = parameter.max {
        try check.require(min <= max, "\(path).max", "The largest value is below the smallest.")
      }
      if let choices = parameter.choices {
        try check.require(parameter.type == .choice, "\(path).choices", "Only a choice has choices.")
        try check.unique(choices, "\(path).choices")
        for (j, choice) in choices.enumerated() { try check.word(choice, "\(path).choices[\(j)]") }
      } else {
        try check.require(parameter.type != .choice, "\(path).choices", "A choice needs choices.", .missingKey)
      }
      let value = parameter.default.text.flatMap(parameter.value)
      try check.require(value != nil, "\(path).default", "The default is not \(parameter.range).")
    }
  }

  private func checkSampling(_ check: Checker) throws(BundleError) {
    guard let sampling else { return }
    let steps = sampling.steps
    try check.require(
      !steps.isEmpty && steps.allSatisfy { (1...1000).contains($0) } && zip(steps, steps.dropFirst()).allSatisfy(<),
      "sampling.steps", "Steps are rising numbers from 1 to 1000.")
    try check.require(
      steps.contains(sampling.defaultSteps), "sampling.default-steps",
      "\(sampling.defaultSteps) is not among the steps \(steps).")
    try check.word(sampling.predictor, "sampling.predictor")
    try check.require(sampling.start > 0 && sampling.start <= 1, "sampling.start", "The start is above 0, at most 1.")
  }

  private func checkPlugin(_ check: Checker) throws(BundleError) {
    guard let plugin else { return }
    try check.require(plugin.abi > 0, "plugin.abi", "The ABI's number must be positive.")
    try check.line(plugin.toolchain, "plugin.toolchain")
    try check.require(!plugin.libraries.isEmpty, "plugin.libraries", "There must be a library for some platform.")
    for (platform, path) in plugin.libraries.sorted(by: { $0.key < $1.key }) {
      let fits = BundleEntry.rank(path) != nil && path.hasPrefix("plugins/\(platform)/")
      try check.require(
        fits, "plugin.libraries.\(platform)", "The library must be in plugins/\(platform)/, as lib<Task>.so.")
    }
  }

  private func checkTraining(_ check: Checker) throws(BundleError) {
    try check.word(training.method, "training.method")
    try check.require(training.samplesSeen >= 0, "training.samples-seen", "The number of samples is negative.")
    if let from = training.from {
      if let name = from.name { try check.name(name, "training.from.name") }
      try check.require(
        (from.name == nil) == (from.version == nil), "training.from", "A bundle has a name and a version.")
      try check.digest(from.weightsSHA256, "training.from.weights-sha256")
      let holds = from.samplesSeen >= 0 && !training.samplesSeen.addingReportingOverflow(from.samplesSeen).overflow
      try check.require(
        holds, "training.from.samples-seen", "The number of samples is negative, or too large with this training's.")
    }
    for (i, data) in training.data.enumerated() {
      let path = "training.data[\(i)]"
      try check.line(data.name, "\(path).name")
      try check.license(data.license, "\(path).license")
      if let source = data.source { try check.line(source, "\(path).source") }
      if let sha256 = data.sha256 { try check.digest(sha256, "\(path).sha256") }
    }
    for (i, metric) in metrics.enumerated() {
      let path = "metrics[\(i)]"
      try check.word(metric.suite, "\(path).suite")
      try check.word(metric.name, "\(path).name")
      try check.require(metric.steps > 0, "\(path).steps", "The number of steps must be positive.")
      try check.require(metric.n > 0, "\(path).n", "The number of pictures must be positive.")
      try check.require(metric.value.isFinite, "\(path).value", "The value must be finite.")
      if let ci = metric.ci95 {
        let holds = ci.count == 2 && ci.allSatisfy(\.isFinite) && ci[0] <= metric.value && metric.value <= ci[1]
        try check.require(holds, "\(path).ci95", "The interval must be two finite numbers around the value.")
      }
    }
  }
}

/// Finds the line of a path such as `training.data[0].license`, and the words that several fields share.
private struct Checker {
  let root: Node
  let source: String

  func require(
    _ condition: Bool, _ path: String, _ reason: String, _ code: BundleError.Code = .invalidValue
  ) throws(BundleError) {
    guard !condition else { return }
    let remedy =
      switch code {
      case .missingKey: "Add it."
      case .unknownKey: "Remove it."
      default: "Correct \"\(path)\"."
      }
    throw YAML.error(code, source, mark(path), reason, remedy: remedy)
  }

  /// The mark of the value at `path`, or of the nearest value around it.
  private func mark(_ path: String) -> Mark {
    var node = root
    for part in path.split(whereSeparator: { ".[]".contains($0) }) {
      if let index = Int(part), let items = node.items, items.indices.contains(index) {
        node = items[index]
      } else if let value = node[String(part)] {
        node = value
      } else {
        break
      }
    }
    return node.mark
  }

  /// Lower-case words joined by hyphens, dots, or underscores.
  func word(_ text: String, _ path: String) throws(BundleError) {
    try require(
      isWord(text[...]), path,
      "\"\(text)\" is not a word of lower-case letters, digits, and single \"-\", \".\", or \"_\" between them.")
  }

  func name(_ text: String, _ path: String) throws(BundleError) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    try require(
      parts.count == 2 && parts.allSatisfy(isWord), path, "\"\(text)\" is not of the form \"publisher/name\".")
  }

  private func isWord(_ text: Substring) -> Bool {
    let parts = text.split(omittingEmptySubsequences: false) { "-._".contains($0) }
    return text.utf8.count <= 64
      && parts.allSatisfy { part in
        !part.isEmpty && part.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }
      }
  }

  /// One line of visible text, which cannot disturb a terminal.
  func line(_ text: String, _ path: String) throws(BundleError) {
    let visible = text.unicodeScalars.allSatisfy { scalar in
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: false
      default: true
      }
    }
    try require(
      visible && !text.allSatisfy(\.isWhitespace) && text.utf8.count <= 400, path,
      "This must be one line of visible text, at most 400 bytes long.")
  }

  func license(_ text: String, _ path: String) throws(BundleError) {
    let allowed = text.utf8.allSatisfy { byte in
      (0x61...0x7A).contains(byte | 0x20) || (0x30...0x39).contains(byte) || "-.+:() ".utf8.contains(byte)
    }
    try require(
      allowed && !text.isEmpty && text.utf8.count <= 200 && text.first != " " && text.last != " ", path,
      "\"\(text)\" is not an SPDX licence expression.")
  }

  func digest(_ text: String, _ path: String) throws(BundleError) {
    try require(SHA256.isHex(text), path, "SHA-256 is 64 hexadecimal digits in lower case.")
  }

  func unique(_ texts: [String], _ path: String) throws(BundleError) {
    try require(Set(texts).count == texts.count, path, "A name occurs twice.")
  }
}
