internal import CCurl
internal import Foundation

struct HTTPRequest {
  var method = "GET"
  var url: String
  var headers: [(name: String, value: String)] = []
  /// Sent with the request; an empty one is sent too.
  var body: Data?
  /// What a token must allow, to find the one that was given for it: `pull` or `push` and the repository.
  var scope = ""
}

struct HTTPResponse {
  var url = ""
  var status = 0
  /// Names in lower case, in the order in which they came.
  var headers: [(name: String, value: String)] = []
  /// What did not go into a sink.
  var body = Data()

  /// The last header of that name, in lower case.
  subscript(_ name: String) -> String? { headers.last { $0.name == name }?.value }

  var length: Int? { self["content-length"].flatMap { Int($0) } }
}

/// An exchange that did not come to an answer.
struct HTTPFailure {
  enum Kind { case timeout, unreachable, untrusted, noAuthority, broken, failed }
  let kind: Kind
  let message: String
}

/// One request and its answer, over a connection that may be used again.
///
/// An `@unchecked Sendable` because the pool hands it to one thread at a time.
final class HTTPSession: @unchecked Sendable {
  /// Gets the body of an answer with status 200 or 206, part by part.
  typealias Sink = (_ head: HTTPResponse, _ bytes: UnsafeRawBufferPointer) throws(RegistryError) -> Void

  enum Outcome {
    case response(HTTPResponse)
    case failure(HTTPFailure)
  }

  private let session: OpaquePointer

  init?() {
    guard let session = cc_open() else { return nil }
    self.session = session
  }

  deinit { cc_close(session) }

  /// - Parameters:
  ///   - headers: instead of the request's own.
  ///   - limit: bytes of a body without sink; a longer one is `corrupt`.
  /// - Throws: what `sink` throws, `corrupt`, or `stopped`.
  func perform(
    _ request: HTTPRequest, limit: Int, _ network: Network, isDirect: Bool, sink: Sink?
  ) throws(RegistryError) -> Outcome {
    let exchange = HTTPExchange(request.url, limit: limit, isStopped: network.isStopped, sink: sink)
    var message = [CChar](repeating: 0, count: 256)
    let lines = request.headers.map { strdup("\($0.name): \($0.value)") }
    defer { for line in lines { free(line) } }
    let authorities = Origin(request.url).map { network.authorities.authorities(for: $0) }
    let caFile: UnsafeMutablePointer<CChar>? = authorities?.file.flatMap { strdup($0) }
    let caFolder: UnsafeMutablePointer<CChar>? = authorities?.directory.flatMap { strdup($0) }
    defer {
      free(caFile)
      free(caFolder)
    }
    let outcome = withExtendedLifetime(exchange) {
      lines.map { UnsafePointer<CChar>($0) }.withUnsafeBufferPointer { headers in
        request.method.withCString { method in
          request.url.withCString { url in
            (request.body ?? Data()).withUnsafeBytes { body in
              var plain = cc_request()
              plain.method = method
              plain.url = url
              plain.headers = headers.baseAddress
              plain.header_count = headers.count
              plain.body = body.baseAddress
              plain.body_length = body.count
              plain.has_body = request.body == nil ? 0 : 1
              plain.direct = isDirect ? 1 : 0
              plain.ca_file = UnsafePointer(caFile)
              plain.ca_folder = UnsafePointer(caFolder)
              plain.connect_seconds = Int32(clamping: network.connectSeconds)
              plain.stall_seconds = Int32(clamping: network.stallSeconds)
              plain.context = Unmanaged.passUnretained(exchange).toOpaque()
              plain.header = { HTTPExchange.from($0)?.header($1, $2) ?? 1 }
              plain.data = { HTTPExchange.from($0)?.data($1, $2) ?? 1 }
              plain.poll = { HTTPExchange.from($0)?.poll() ?? 1 }
              return cc_perform(session, &plain, &message, message.count)
            }
          }
        }
      }
    }
    if let error = exchange.error { throw error }
    let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    func failure(_ kind: HTTPFailure.Kind) -> Outcome { .failure(HTTPFailure(kind: kind, message: text)) }
    switch outcome {
    case .complete: return .response(exchange.response)
    // Without an error it was the rest of an error's body that nobody wants.
    case .stopped: return exchange.isEnough ? .response(exchange.response) : failure(.failed)
    case .timeout: return failure(.timeout)
    case .unreachable: return failure(.unreachable)
    case .untrusted: return failure(.untrusted)
    case .no_authority: return failure(.noAuthority)
    case .broken: return failure(.broken)
    case .failed: return failure(.failed)
    }
  }
}

/// What the callbacks of one exchange collect.
private final class HTTPExchange {
  var response = HTTPResponse()
  var error: RegistryError?
  /// Whether nothing more of the body is wanted.
  var isEnough = false
  private var headerBytes = 0
  private let limit: Int
  private let isStopped: @Sendable () -> Bool
  private let sink: HTTPSession.Sink?

  init(_ url: String, limit: Int, isStopped: @escaping @Sendable () -> Bool, sink: HTTPSession.Sink?) {
    response.url = url
    self.limit = limit
    self.isStopped = isStopped
    self.sink = sink
  }

  static func from(_ context: UnsafeMutableRawPointer?) -> HTTPExchange? {
    context.map { Unmanaged<HTTPExchange>.fromOpaque($0).takeUnretainedValue() }
  }

  func header(_ line: UnsafeRawPointer?, _ count: Int) -> Int32 {
    headerBytes += count
    guard headerBytes <= 256 << 10 else {
      return refuse("The answer's header is longer than 256 KiB.")
    }
    let text = String(decoding: UnsafeRawBufferPointer(start: line, count: count), as: UTF8.self)
      .trimmingCharacters(in: .whitespacesAndNewlines)
    if text.hasPrefix("HTTP/") {
      // An interim answer, 100 for example, comes before the real one.
      response.status = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
      response.headers = []
    } else if let colon = text.firstIndex(of: ":") {
      response.headers.append(
        (text[..<colon].lowercased(), text[text.index(after: colon)...].trimmingCharacters(in: .whitespaces)))
    }
    return 0
  }

  func data(_ bytes: UnsafeRawPointer?, _ count: Int) -> Int32 {
    let bytes = UnsafeRawBufferPointer(start: bytes, count: count)
    if let sink, response.status == 200 || response.status == 206 {
      do {
        try sink(response, bytes)
        return 0
      } catch {
        self.error = error
        return 1
      }
    }
    guard (200..<300).contains(response.status) else {
      // A server's words about its error, as far as anybody reads them.
      response.body.append(contentsOf: bytes.prefix(max(0, 16 << 10 - response.body.count)))
      isEnough = response.body.count >= 16 << 10
      return isEnough ? 1 : 0
    }
    guard response.body.count + count <= limit else {
      return refuse("The answer is longer than the \(limit) bytes that are read.")
    }
    response.body.append(contentsOf: bytes)
    return 0
  }

  func poll() -> Int32 {
    guard isStopped() else { return 0 }
    error = RegistryError(
      .stopped, at: response.url, "It was stopped.", remedy: "The same command goes on where it was.")
    return 1
  }

  private func refuse(_ reason: String) -> Int32 {
    error = RegistryError(.corrupt, at: response.url, reason, remedy: "Tell the registry's owner.")
    return 1
  }
}
