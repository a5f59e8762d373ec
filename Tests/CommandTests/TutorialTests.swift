import Foundation
import Imaging
import TestSupport
import Testing

/// Runs the commands of Documentation/Publishing.md as they stand there.
@Suite(
  "The publisher's tutorial",
  .enabled(
    if: FileManager.default.isExecutableFile(atPath: "/usr/bin/docker-registry"), "docker-registry is not installed"))
struct TutorialTests {
  /// The blocks of commands, in order.
  private func commands() throws -> [String] {
    let text = try String(contentsOf: Toy.root.appending(path: "Documentation/Publishing.md"), encoding: .utf8)
    return text.matches(of: /(?s)```sh\n(.*?)```/).map { String($0.1) }
  }

  /// Before the commands: trainings are cut to a few samples, and nothing stays behind. `codi` is the program otherwise.
  private static let prologue = """
    set -euo pipefail
    trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
    codi() {
      if [ "${1-}" = train ]; then
        recipe=$work/short-core.yaml
        [ "$2" = core ] || recipe=$(dirname "$3")/short.yaml
        sed 's/^  samples: .*/  samples: 640/' "$3" > "$recipe"
        command codi train "$2" "$recipe" "${@:4}"
      else
        command codi "$@"
      fi
    }

    """

  @Test(
    "its commands lead from plugin new through training to an adapter installed from docker-registry",
    .timeLimit(.minutes(15)))
  func runs() throws {
    let blocks = try commands()
    #expect(blocks.count >= 8)
    let shop = try Workshop(published: false)
    // A port that is free, instead of the usual one; the folder that this test was built in, instead of the usual one.
    let port = try freePort()
    let script = blocks.joined(separator: "\n").replacing("5000", with: "\(port)")
      .replacing("$PWD/.build/release", with: Toy.products.path)
    #expect(script.contains("localhost:\(port)") && script.contains(Toy.products.path))
    try Data((Self.prologue + script).utf8).write(to: URL(filePath: shop.folder("tutorial.sh")))
    let temporary = try shop.folder.make("tmp")
    let outcome = try shop.run(
      ["-c", "cd '\(Toy.root.path)' && . '\(shop.folder("tutorial.sh"))'"], ["TMPDIR": temporary], program: "/bin/bash")
    outcome.expect(0)
    #expect(outcome.out.contains("the card is not finished"))
    #expect(outcome.error.contains("published demo/night-photos@0.1.0 as sha256:"), "\(outcome.error)")

    // What somebody else has at the end.
    let work = "\(temporary)/\(try #require(shop.folder.names("tmp").first { $0.hasPrefix("tmp.") }))"
    let home = ["CODI_HOME": "\(work)/somebody-else"]
    let listed = try shop.codi("list", "--json", environment: home).expect(0).objects()
    #expect(listed.map { $0["name"] as? String } == ["demo/night-photos", "demo/tiny"])
    let lock = try String(contentsOfFile: "\(work)/codi.lock", encoding: .utf8)
    #expect(lock.contains("name: demo/night-photos") && lock.contains("name: demo/tiny") && lock.contains("key: RW"))
    let samples = try FileManager.default.contentsOfDirectory(atPath: Toy.root.path + "/Documentation/Samples")
      .filter { $0.hasSuffix(".png") }
    #expect(samples.count > 3)
    for name in samples {
      let (before, after) = try (
        readPicture("\(Toy.root.path)/Documentation/Samples/\(name)"), readPicture("\(work)/bright/\(name)")
      )
      #expect(before.width == after.width && before.height == after.height)
    }
  }

  private func freePort() throws -> UInt16 {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutableBytes(of: &address) { bytes -> Int32 in
      guard let base = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return -1 }
      return bind(socket, base, length) == 0 ? getsockname(socket, base, &length) : -1
    }
    try #require(status == 0)
    return UInt16(bigEndian: address.sin_port)
  }
}
