import AttackReport
import Bundles
import Foundation
import Registry
import Testing

/// The template of `codi plugin new --language c` passes; with one thing wrong it breaks the rule about that thing.
@Suite("Conformance", .serialized) struct ConformanceTests {
  struct Mistake: Sendable, CustomTestStringConvertible {
    let rule: String
    let name: String
    let replace: String
    let by: String
    /// More for the compiler.
    var flags: [String] = []
    var testDescription: String { "\(rule): \(name)" }
  }

  static let prepareLine = "to[i] = clamp(from[i]);"

  static let mistakes: [Mistake] = [
    Mistake(
      rule: "P001", name: "the descriptor names another ABI", replace: "CODI_PLUGIN(\"@NAME@\", \"0.1.0\", 0)",
      by: "#undef CODI_PLUGIN_ABI\n#define CODI_PLUGIN_ABI 2\nCODI_PLUGIN(\"@NAME@\", \"0.1.0\", 0)"),
    Mistake(
      rule: "P002", name: "create reports success without an instance", replace: "*task = made;", by: "*task = NULL;"),
    Mistake(
      rule: "P003", name: "unknown parameters are ignored",
      replace: "return fail(error, CODI_BAD_PARAMETER, \"There is no other parameter than strength.\");",
      by: "continue;"),
    Mistake(
      rule: "P004", name: "not-a-number is a value",
      replace: "!(parameter->number >= 0 && parameter->number <= 1)",
      by: "parameter->number < 0 || parameter->number > 1"),
    Mistake(
      rule: "P005", name: "the output size changes from call to call", replace: "*output_width = width;",
      by: "static int32_t calls; *output_width = width + calls++ % 2;"),
    Mistake(
      rule: "P006", name: "destroy forgets to free", replace: "{ free(task); }",
      by: "{ static char *volatile kept; free(task); kept = malloc(20000); memset(kept, 1, 20000); }"),
    Mistake(
      rule: "P007", name: "it is linked with another library", replace: "*task = made;", by: "*task = made;",
      flags: surplus),
    Mistake(
      rule: "P101", name: "prepare leaves the last row", replace: "y < condition->height",
      by: "y < condition->height - 1"),
    Mistake(
      rule: "P102", name: "finish leaves the last row", replace: "y < output->height", by: "y < output->height - 1"),
    Mistake(rule: "P103", name: "the condition exceeds 1", replace: prepareLine, by: "to[i] = from[i] * 2;"),
    Mistake(
      rule: "P104", name: "rows are taken to follow each other",
      replace: "float *to = condition->data + y * condition->row_stride;",
      by: "float *to = condition->data + y * condition->width * 3;"),
    Mistake(
      rule: "P105", name: "not-a-number ends the process", replace: prepareLine,
      by: "{ if (from[i] != from[i]) abort(); to[i] = clamp(from[i]); }"),
    Mistake(
      rule: "P106", name: "the number of channels is not looked at",
      replace: "input_count != 1 || condition->channels != 3 || !holds(&inputs[0], condition)", by: "input_count != 1"),
    Mistake(
      rule: "P201", name: "a global remembers earlier calls", replace: prepareLine,
      by: "{ static float last; to[i] = clamp(from[i] * 0.9f + last * 0.1f); last = to[i]; }"),
    Mistake(
      rule: "P202", name: "two instances share a global",
      replace: "for (int32_t y = 0; y < condition->height; y++) {",
      by: "static volatile int32_t y; for (y = 0; y < condition->height; y++) {"),
    Mistake(
      rule: "P203", name: "the edge of the region is taken for the edge of the picture", replace: prepareLine,
      by: "to[i] = clamp(from[i]) * (y == 0 ? 0.5f : 1);"),
    Mistake(
      rule: "P204", name: "a sample depends on its place in the batch", replace: "keys[sample], 0, &draw, 1",
      by: "keys[sample], (uint64_t)sample, &draw, 1"),
    Mistake(
      rule: "P301", name: "cancellation is reported as failure", replace: "CODI_CANCELLED, \"Cancelled.\"",
      by: "CODI_FAILED, \"Cancelled.\""),
    Mistake(
      rule: "P302", name: "some widths crash", replace: prepareLine,
      by: "{ if (condition->width > 21 && condition->width < 29) __builtin_trap(); to[i] = clamp(from[i]); }"),
    Mistake(
      rule: "P303", name: "a text crashes", replace: "float strength = 1;",
      by:
        "float strength = 1; for (int32_t i = 0; i < parameter_count; i++) if (strlen(parameters[i].text) > 100) abort();"
    ),
  ]

  /// Libraries that this program itself was built with, so that they are here.
  static let surplus = ["-Wl,--no-as-needed", "-lsodium", "-Wl,-rpath,/opt/vendor"]

  static let template = URL(filePath: PluginLibraryTests.headers).deletingLastPathComponent()
    .deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Plugins/Template")

  /// Builds the template with `by` in the place of `replace`, and runs all rules.
  private static func findings(
    replace: String = "", by: String = "", flags: [String] = [], seed: UInt64 = 3
  ) throws -> [Conformance.Finding] {
    let folder = try TemporaryFolder()
    var source = try String(contentsOf: template.appending(path: "c/task.c"), encoding: .utf8)
    if !replace.isEmpty {
      try #require(source.contains(replace), "the template has no \(replace)")
      source = source.replacingOccurrences(of: replace, with: by)
    }
    try source.replacingOccurrences(of: "@NAME@", with: "toy")
      .write(toFile: folder.path + "/task.c", atomically: true, encoding: .utf8)
    let compiler = Process()
    compiler.executableURL = URL(filePath: "/usr/bin/cc")
    compiler.arguments =
      [
        "-std=c17", "-O1", "-shared", "-fPIC", "-w", "-I", PluginLibraryTests.headers, folder.path + "/task.c", "-o",
        folder.path + "/libTask.so",
      ] + flags
    try compiler.run()
    compiler.waitUntilExit()
    try #require(compiler.terminationStatus == 0)
    var profile = Conformance.Profile()
    let manifest = template.appending(path: "common/manifest.yaml")
    let text = try String(contentsOf: manifest, encoding: .utf8).replacingOccurrences(of: "@NAME@", with: "toy")
    let node = try YAML.parse(Data(text.utf8), source: manifest.path)
    profile.parameters = try Options.decode(
      [Manifest.Parameter].self, from: try #require(node["parameters"]), source: manifest.path)
    profile.halo = 0
    return Conformance(try PluginFile(path: folder.path + "/libTask.so"), profile, seed: seed).run()
  }

  @Test("the C template keeps every rule")
  func template() throws {
    let findings = try Self.findings()
    #expect(findings.map(\.id) == Conformance.list.map(\.id))
    #expect(findings.allSatisfy { $0.outcome == .passed }, "\(findings.filter { $0.outcome != .passed })")
  }

  @Test("every rule has a mistake that breaks it, and it is found", arguments: mistakes)
  func found(_ mistake: Mistake) throws {
    let findings = try Self.findings(replace: mistake.replace, by: mistake.by, flags: mistake.flags)
    let finding = try #require(findings.first { $0.id == mistake.rule })
    #expect(finding.outcome == .failed, "\(findings.filter { $0.outcome != .passed })")
    #expect(!finding.detail.isEmpty)
    AttackReport.record(.rules, mistake.name, outcome: "found by \(mistake.rule)")
  }

  @Test("a library that needs more than libc and libm is told what, without being opened")
  func surplusLibraries() throws {
    let findings = try Self.findings(flags: Self.surplus)
    let detail = try #require(findings.first { $0.id == "P007" }?.detail)
    #expect(detail.contains("libsodium.so") && detail.contains("/opt/vendor"), "\(detail)")
  }

  @Test("the mistakes cover all rules")
  func covered() {
    #expect(Set(Self.mistakes.map(\.rule)) == Set(Conformance.list.map(\.id)))
  }

  @Test("the same seed finds the same call")
  func replay() throws {
    let crash = "{ if (condition->width > 21 && condition->width < 29) __builtin_trap(); to[i] = clamp(from[i]); }"
    func detail(_ seed: UInt64) throws -> String? {
      try Self.findings(replace: Self.prepareLine, by: crash, seed: seed).first { $0.id == "P302" }?.detail
    }
    let first = try #require(try detail(3))
    #expect(first.contains("--seed 3"))
    #expect(try detail(3) == first)
  }
}
