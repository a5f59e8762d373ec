internal import Bundles
internal import CPluginABI
internal import CSandbox
internal import Glibc
internal import Logging

/// A running `codi-plugin-host` with one library. Not for two threads at once.
final class HostProcess {
  let descriptor: PluginDescriptor
  let level: IsolationLevel
  let memory: SharedMemory
  private let file: PluginFile
  private let limits: PluginLimits
  private let services: HostServices
  private let socket: Int32
  private var process: pid_t

  /// Starts the process and opens the library behind the walls.
  init(
    _ file: PluginFile, wanted: PluginDescriptor.Wanted, limits: PluginLimits, services: HostServices
  ) throws(PluginError) {
    try wanted.checkABI(path: file.path)
    self.file = file
    self.limits = limits
    self.services = services
    memory = try SharedMemory()
    let started = try Self.spawn(file, memory, limits)
    (socket, process) = (started.socket, started.process)
    do throws(PluginError) {
      let ready = try Self.exchange(
        nil, until: UInt32(CH_READY), started, memory, services, file.path, seconds: limits.seconds)
      level = IsolationLevel(landlock: Int(ready.landlock), seccomp: ready.seccomp != 0, limits: ready.limits != 0)
      guard level.seccomp else {
        throw PluginError(
          .isolation, at: file.path, "This kernel does not filter system calls, so plugins cannot be isolated.",
          remedy: "Use a kernel with seccomp, or trust the publisher: `codi trust add PUBLISHER KEY --in-process`.")
      }
      guard ready.status == CODI_OK else {
        throw PluginLibrary.unopened(file.path, Self.sentence(ready))
      }
      let raw = withUnsafeBytes(of: ready.descriptor) { $0.loadUnaligned(as: codi_plugin_descriptor.self) }
      descriptor = try PluginDescriptor(raw, path: file.path, wanted: wanted)
    } catch {
      // Still without the last properties, so `deinit` does not run.
      close(started.socket)
      _ = Self.reap(started.process, patience: 0)
      throw error
    }
  }

  /// Starts a process without a plugin; what it says before it finds that out is the answer.
  static func probe() throws(PluginError) -> IsolationLevel {
    let file = try PluginFile(bytes: Array("no library".utf8), path: "probe")
    let memory = try SharedMemory()
    let services = HostServices(log: Logger(label: "codi.plugin"), isCancelled: { false })
    let child = try spawn(file, memory, PluginLimits())
    // When this throws, the child was reaped already.
    let ready: ch_reply
    do throws(PluginError) {
      ready = try exchange(nil, until: UInt32(CH_READY), child, memory, services, PluginHost.path, seconds: 30)
    } catch {
      close(child.socket)
      throw error
    }
    close(child.socket)
    _ = reap(child.process, patience: 0)
    return IsolationLevel(landlock: Int(ready.landlock), seccomp: ready.seccomp != 0, limits: ready.limits != 0)
  }

  deinit { end() }

  /// Ends the process, if it has not ended by itself.
  private func end() {
    guard process > 0 else { return }
    close(socket)
    _ = Self.reap(process, patience: 0)
    process = 0
  }

  /// Memory of the process that is resident now, bytes; 0 when it cannot be told.
  var residentBytes: Int {
    guard let file = fopen("/proc/\(process)/statm", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
    let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(
      separator: " ")
    return words.count > 2 ? ((Int(words[1]) ?? 0) - (Int(words[2]) ?? 0)) * SharedMemory.page : 0
  }

  // MARK: Calls

  /// What a function reported.
  struct Answer {
    let status: Int32
    let second: Int32
    let size: (width: Int32, height: Int32)
    let message: String
  }

  func create(_ instance: UInt32, parameters: [String: ParameterValue], seed: UInt64) throws(PluginError) -> Answer {
    memory.reset()
    let list = ParameterBytes(parameters)
    var request = Self.request(CH_CREATE, instance)
    request.seed = seed
    request.parameter_count = UInt32(parameters.count)
    request.more = try memory.take(list.bytes.count)
    list.bytes.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { memory.data(request.more).copyMemory(from: base, byteCount: bytes.count) }
    }
    return try ask(&request, "create", values: 0)
  }

  func destroy(_ instance: UInt32) throws(PluginError) {
    var request = Self.request(CH_DESTROY, instance)
    _ = try ask(&request, "destroy", values: 0)
  }

  func outputSize(_ instance: UInt32, width: Int32, height: Int32) throws(PluginError) -> Answer {
    var request = Self.request(CH_OUTPUT_SIZE, instance)
    (request.width, request.height) = (width, height)
    return try ask(&request, "output_size", values: 0)
  }

  /// `prepare` or `finish`. Two `outputs` are the same call of two instances at the same time.
  /// - Returns: the answer and the values of each output.
  func compute(
    _ kind: Int32, _ instance: UInt32, second: UInt32 = 0, inputs: [SharedView], outputs: [SharedView]
  ) throws(PluginError) -> (answer: Answer, values: [[Float]]) {
    memory.reset()
    var request = Self.request(kind, instance)
    request.second = second
    let views = inputs + outputs
    var areas: [ch_area] = []
    for view in views {
      let placed = try view.place(in: memory)
      Self.set(&request, areas.count, placed)
      areas.append(placed.area)
    }
    request.view_count = UInt32(views.count)
    for (view, area) in zip(views, areas) { view.write(area, in: memory) }
    let name = kind == CH_PREPARE ? "prepare" : "finish"
    let answer = try ask(&request, name, values: views.reduce(0) { $0 + $1.valueCount })
    guard answer.status == CODI_OK else { return (answer, []) }
    var values: [[Float]] = []
    for (view, area) in zip(outputs, areas.suffix(outputs.count)) {
      values.append(try view.read(area, in: memory, at: "\(file.path): \(name)"))
    }
    return (answer, values)
  }

  func degrade(
    _ instance: UInt32, clean: (view: SharedView, values: [Float]), keys: [codi_key], inputs: [SharedView]
  ) throws(PluginError) -> (answer: Answer, values: [[Float]]) {
    memory.reset()
    var request = Self.request(CH_DEGRADE, instance)
    var areas: [ch_area] = []
    for view in [clean.view] + inputs {
      let placed = try view.place(in: memory)
      Self.set(&request, areas.count, placed)
      areas.append(placed.area)
    }
    request.view_count = UInt32(areas.count)
    request.more = try memory.take(keys.count * MemoryLayout<codi_key>.stride)
    clean.view.write(clean.values, areas[0], in: memory)
    for (view, area) in zip(inputs, areas.dropFirst()) { view.write(area, in: memory) }
    keys.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { memory.data(request.more).copyMemory(from: base, byteCount: bytes.count) }
    }
    let answer = try ask(
      &request, "degrade", values: inputs.reduce(10 * clean.values.count) { $0 + $1.valueCount })
    guard answer.status == CODI_OK else { return (answer, []) }
    var values: [[Float]] = []
    for (view, area) in zip(inputs, areas.dropFirst()) {
      values.append(try view.read(area, in: memory, at: "\(file.path): degrade"))
    }
    return (answer, values)
  }

  private static func request(_ kind: Int32, _ instance: UInt32) -> ch_request {
    var request = ch_request()
    request.kind = UInt32(kind)
    request.instance = instance
    return request
  }

  private static func set(_ request: inout ch_request, _ index: Int, _ view: ch_view) {
    withUnsafeMutableBytes(of: &request.views) { bytes in
      bytes.bindMemory(to: ch_view.self)[index] = view
    }
  }

  private func ask(_ request: inout ch_request, _ name: String, values: Int) throws(PluginError) -> Answer {
    let location = "\(file.path): \(name)"
    guard process > 0 else {
      throw PluginError(.crashed, at: location, "Its process has ended.", remedy: "Run it again.")
    }
    let seconds = limits.deadline(values: values)
    cs_limit_cpu(process, UInt64(seconds.rounded(.up)) + 1)
    do throws(PluginError) {
      let reply = try Self.exchange(
        request, until: UInt32(CH_DONE), (socket, process), memory, services, location, seconds: seconds)
      return Answer(
        status: reply.status, second: reply.second, size: (reply.width, reply.height), message: Self.sentence(reply))
    } catch {
      // Whoever broke the conversation was reaped.
      close(socket)
      process = 0
      throw error
    }
  }

  // MARK: The process

  private typealias Child = (socket: Int32, process: pid_t)

  private static func spawn(
    _ file: PluginFile, _ memory: SharedMemory, _ limits: PluginLimits
  ) throws(PluginError) -> Child {
    func failure(_ error: Int32) -> PluginError {
      PluginError(
        .isolation, at: PluginHost.path,
        "The process for plugins cannot be started: \(String(cString: strerror(error))).",
        remedy: "Reinstall codi; `codi doctor` tells more.")
    }
    var (ours, theirs): (Int32, Int32) = (-1, -1)
    let paired = cs_socket_pair(&ours, &theirs)
    guard paired == 0 else { throw failure(paired) }
    defer { close(theirs) }
    let path = PluginHost.path
    let words =
      [path, "\(limits.memory)", limits.usesLandlock ? "1" : "0", limits.hasSecondThread ? "2" : "1"]
      + PluginHost.libraryFolders
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    defer { for argument in arguments { free(argument) } }
    arguments.append(nil)
    var process: pid_t = 0
    let error = cs_spawn(path, &arguments, theirs, memory.file, file.file, &process)
    guard error == 0 else {
      close(ours)
      throw failure(error)
    }
    return (ours, process)
  }

  /// How a process came to its end.
  private enum Ending {
    case exit(Int32)
    case signal(Int32)
    /// It did not; it was killed.
    case lingered
  }

  /// Waits for the end, `patience` seconds, then brings it about.
  private static func reap(_ process: pid_t, patience: Double) -> Ending {
    var status: Int32 = 0
    let end = ContinuousClock.now + .seconds(patience)
    repeat {
      let found = waitpid(process, &status, WNOHANG)
      // It was reaped before; its number may be another's by now.
      if found < 0 && errno == ECHILD { return .lingered }
      if found == process {
        let signal = status & 0x7F
        return signal == 0 ? .exit((status >> 8) & 0xFF) : .signal(signal)
      }
      if patience > 0 { usleep(1000) }
    } while ContinuousClock.now < end
    kill(process, SIGKILL)
    while waitpid(process, &status, 0) < 0 && errno == EINTR {}
    return .lingered
  }

  /// Sends a request and serves the child until the reply that it waits for. When this throws, the child is gone.
  private static func exchange(
    _ request: ch_request?, until kind: UInt32, _ child: Child, _ memory: SharedMemory, _ services: HostServices,
    _ location: String, seconds: Double
  ) throws(PluginError) -> ch_reply {
    let end = ContinuousClock.now + .seconds(seconds)
    var lines = LogQuota()
    var desk = ServiceDesk()
    if request != nil {
      // A process that was just started may have left its note already; its page began as zeros.
      memory.control.pointee.cancelled = services.isCancelled ? 1 : 0
      memory.control.pointee.forbidden = 0
      memory.control.pointee.is_fault = 0
      memory.control.pointee.fault_place = UInt32(CH_NOWHERE)
    }
    guard request.map({ send($0, child) }) ?? 0 == 0 else { throw autopsy(child, memory, location) }
    while true {
      var waiting = pollfd(fd: child.socket, events: Int16(POLLIN), revents: 0)
      let ready = poll(&waiting, 1, 20)
      if services.isCancelled { memory.control.pointee.cancelled = 1 }
      guard ContinuousClock.now < end else {
        _ = reap(child.process, patience: 0)
        throw PluginError(
          .deadline, at: location, "It gave no answer within \(Int(seconds.rounded(.up))) s and was stopped.",
          remedy: "Leave this picture out, and tell the adapter's publisher.")
      }
      guard ready > 0 else { continue }
      var reply = ch_reply()
      let size = MemoryLayout<ch_reply>.size
      let count = recv(child.socket, &reply, size, Int32(MSG_DONTWAIT) | Int32(MSG_TRUNC))
      if count < 0 && (errno == EINTR || errno == EAGAIN) { continue }
      guard count == size else {
        if count <= 0 { throw autopsy(child, memory, location) }
        throw nonsense(child, location, "a message of \(count) bytes")
      }
      switch reply.kind {
      case kind: return reply
      case UInt32(CH_LOG):
        if let line = lines.admit(sentence(reply)) { services.report(reply.status, line) }
        if lines.isFlood { throw nonsense(child, location, "more than \(LogQuota.flood) log lines in one call") }
      case UInt32(CH_ROOM), UInt32(CH_RESIZE), UInt32(CH_JPEG):
        guard request != nil, let answer = desk.answer(reply, memory) else {
          throw nonsense(child, location, "a request for a service that makes no sense")
        }
        let failure = send(answer, child)
        if failure == EAGAIN { throw nonsense(child, location, "requests without reading the answers") }
        guard failure == 0 else { throw autopsy(child, memory, location) }
      default: throw nonsense(child, location, "a message of kind \(reply.kind)")
      }
    }
  }

  /// 0, or an errno. Never waits: who asks without reading the answers must not hold the program up.
  private static func send(_ request: ch_request, _ child: Child) -> Int32 {
    withUnsafeBytes(of: request) {
      let count = Glibc.send(child.socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      return count == $0.count ? 0 : max(errno, 1)
    }
  }

  /// The text of a reply, without what could confuse a terminal.
  private static func sentence(_ reply: ch_reply) -> String {
    withUnsafeBytes(of: reply.message) { bytes in
      let text = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      return String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.properties.generalCategory != .control }))
    }
  }

  private static func nonsense(_ child: Child, _ location: String, _ what: String) -> PluginError {
    _ = reap(child.process, patience: 0)
    return PluginError(
      .contract, at: location, "Its process sent \(what) and was stopped.",
      remedy: "Leave this picture out, and tell the adapter's publisher.")
  }

  /// Why the conversation ended.
  private static func autopsy(_ child: Child, _ memory: SharedMemory, _ location: String) -> PluginError {
    let ending = reap(child.process, patience: 1)
    let remedy = "Leave this picture out, and tell the adapter's publisher."
    let control = memory.control.pointee
    switch ending {
    case .exit(CH_FORBIDDEN_EXIT) where control.forbidden > 0:
      let number = Int64(control.forbidden) - 1
      return PluginError(
        .forbidden, at: location,
        "It asked the system for what no plugin may do (\(String(cString: cs_call_name(number))), system call \(number)) "
          + "and was stopped.", remedy: remedy)
    case .signal(SIGSYS):
      return PluginError(
        .forbidden, at: location, "It asked the system for what no plugin may do and was stopped.", remedy: remedy)
    case .exit(let code):
      return PluginError(.crashed, at: location, "It ended its process with exit code \(code).", remedy: remedy)
    case .lingered:
      return PluginError(.crashed, at: location, "It closed its connection and was stopped.", remedy: remedy)
    case .signal(SIGXCPU):
      return PluginError(.deadline, at: location, "It used up its processor time and was stopped.", remedy: remedy)
    case .signal(let number):
      let isFault = number == SIGSEGV || number == SIGBUS
      let place: String? =
        switch Int32(bitPattern: control.fault_place) {
        case CH_BEFORE: "reached before the beginning of"
        case CH_INSIDE: "wrote to what it may only read,"  // reading is no fault there
        case CH_BEHIND: "reached behind the end of"
        default: nil
        }
      if isFault, let place {
        return PluginError(
          .contract, at: location, "It \(place) view \(control.fault_view) and was stopped.", remedy: remedy)
      }
      return PluginError(.crashed, at: location, "It crashed: \(signalName(number)).", remedy: remedy)
    }
  }

  private static func signalName(_ number: Int32) -> String {
    switch number {
    case SIGSEGV: "it touched memory that is not its own (SIGSEGV)"
    case SIGBUS: "it touched memory that is not there (SIGBUS)"
    case SIGILL: "it trapped (SIGILL)"
    case SIGTRAP: "it trapped (SIGTRAP)"
    case SIGFPE: "it divided by zero (SIGFPE)"
    case SIGABRT: "it aborted (SIGABRT)"
    case SIGKILL: "it was killed, perhaps because memory ran out (SIGKILL)"
    default: "it got signal \(number)"
    }
  }
}

/// How much a plugin may say in one call.
private struct LogQuota {
  static let flood = 100_000
  private static let lines = 50
  private var count = 0

  var isFlood: Bool { count > Self.flood }

  /// The line as it is reported; nil once there were enough.
  mutating func admit(_ line: String) -> String? {
    count += 1
    if count == Self.lines + 1 { return "The plugin says more than is shown." }
    return count <= Self.lines ? line : nil
  }
}

/// Parameters as the child reads them: records, then texts ended by zero bytes.
private struct ParameterBytes {
  private(set) var bytes: [UInt8]

  init(_ parameters: [String: ParameterValue]) {
    var records: [ch_parameter] = []
    var texts: [UInt8] = []
    let start = parameters.count * MemoryLayout<ch_parameter>.stride
    func add(_ text: String) -> UInt32 {
      let offset = start + texts.count
      texts += Array(text.utf8) + [0]
      return UInt32(offset)
    }
    for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
      var record = ch_parameter(number: 0, name: add(name), text: 0, kind: CODI_NUMBER, reserved: 0)
      var text = ""
      switch value {
      case .number(let number): record.number = number
      case .integer(let number): record.number = Double(number)
      case .boolean(let flag): record.number = flag ? 1 : 0
      case .text(let value): (text, record.kind) = (value, CODI_TEXT)
      }
      record.text = add(text)
      records.append(record)
    }
    bytes = records.withUnsafeBytes { Array($0) } + texts
  }
}
