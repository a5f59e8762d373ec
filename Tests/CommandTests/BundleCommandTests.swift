import Bundles
import Foundation
import Registry
import TestSupport
import Testing

@Suite("Bundles from registry to store and away") struct BundleCommandTests {
  @Test("list, install, info, convert and remove fit together")
  func roundTrip() throws {
    let shop = try Workshop()
    #expect(try shop.codi("list").expect(0).out.contains("codi install"), "an empty store says what to do")
    #expect(try shop.codi("list", "--json").expect(0).out.isEmpty)
    let offered = try shop.codi("list", "--available", "--json").expect(0).objects()
    #expect(offered.map { $0["name"] as? String } == ["toy/core", "toy/enlarge"])
    #expect(offered.allSatisfy { ($0["bytes"] as? Int ?? 0) > 1000 && $0["license"] as? String == "CC0-1.0" })

    // Before it is installed, information comes from the registry.
    let before = try shop.codi("info", "enlarge", "--json").expect(0).objects()
    let installed = try shop.codi("install", "enlarge", "--json").expect(0).objects()
    #expect(installed.map { $0["name"] as? String } == ["toy/enlarge"])
    let listed = try shop.codi("list", "--json").expect(0).objects()
    #expect(listed.map { $0["name"] as? String } == ["toy/core", "toy/enlarge"], "the core came along")
    #expect(listed[1]["digest"] as? String == installed[0]["digest"] as? String)
    let after = try shop.codi("info", "enlarge", "--json").expect(0).objects()
    #expect(NSDictionary(dictionary: before[0]) == NSDictionary(dictionary: after[0]))
    #expect(after[0]["task"] as? String == "super-resolution" && after[0]["core"] as? String == "toy/core")
    let text = try shop.codi("info", "toy/enlarge@1.0.0").expect(0).out
    #expect(try Manifest(parsing: Data(text.utf8), source: "info").name == "toy/enlarge")
    #expect(try shop.codi("info", "adapter.codi").expect(0).out == text)

    // Again: nothing changes, nobody complains.
    let again = try shop.codi("install", "enlarge").expect(0)
    #expect(again.out.isEmpty && again.error.contains("installed toy/enlarge@1.0.0"))

    let folder = try shop.pictures("in", count: 1)
    try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "out").expect(0)

    #expect(try shop.codi("remove", "enlarge", "--dry-run").expect(0).error.contains("would remove toy/enlarge@1.0.0"))
    #expect(try shop.codi("list", "--json").objects().count == 2)
    try shop.codi("remove", "enlarge").expect(0)
    try shop.codi("remove", "core").expect(0)
    #expect(try shop.codi("list", "--json").objects().isEmpty)
    try shop.codi("gc").expect(0)
    #expect(shop.folder.names("store/bundles").isEmpty, "the files are gone too")
    try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "out").expect(3)
  }

  @Test("install, list and info run no code of a bundle; publishing and converting run it where it leaves no mark")
  func noCode() throws {
    let shop = try Workshop()
    let mark = shop.folder("ran")
    try Toy.packAdapter(
      core: shop.folder("core.codi"), to: shop.folder("marking.codi"), version: SemanticVersion(1, 1, 0),
      library: try markingLibrary(shop.folder, mark))
    try shop.codi("info", "marking.codi").expect(0)
    let refused = try shop.codi("publish", "marking.codi", "--registry", "registry").expect(4)
    #expect(refused.error.contains("P001"), "\(refused.error)")
    try BundleRegistry(path: shop.folder("registry")).publish(shop.folder("marking.codi"))
    try shop.codi("info", "enlarge").expect(0)
    try shop.codi("list", "--available").expect(0)
    try shop.codi("install", "enlarge").expect(0)
    try shop.codi("info", "enlarge").expect(0)
    #expect(try shop.codi("list").expect(0).out.contains("toy/enlarge@1.1.0"))
    #expect(!FileManager.default.fileExists(atPath: mark))

    let folder = try shop.pictures("in", count: 1)
    let outcome = try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "out").expect(4)
    #expect(outcome.error.contains("what no plugin may do"), "\(outcome.error)")
    #expect(!FileManager.default.fileExists(atPath: mark), "it ran, and could not leave its mark")
    #expect(shop.results("out").isEmpty)
  }

  /// A plugin whose opening writes the file `mark`, and which fails at everything it is asked to make.
  private func markingLibrary(_ folder: TemporaryFolder, _ mark: String) throws -> String {
    let source = """
      #include "codi_plugin.h"
      #include <stdio.h>
      #include <string.h>
      __attribute__((constructor)) static void ran(void) { FILE *f = fopen("\(mark)", "w"); if (f) fclose(f); }
      static int instance;
      int32_t codi_task_create(
          const codi_host *h, const codi_parameter *p, int32_t n, uint64_t s, codi_task **t, char *e) {
        *t = (codi_task *)&instance; return CODI_OK;
      }
      void codi_task_destroy(codi_task *t) {}
      int32_t codi_task_output_size(codi_task *t, int32_t w, int32_t h, int32_t *ow, int32_t *oh, char *e) {
        *ow = 4 * w; *oh = 4 * h; return CODI_OK;
      }
      int32_t codi_task_prepare(codi_task *t, const codi_view *i, int32_t n, codi_view *c, char *e) {
        strcpy(e, "This plugin only leaves its mark."); return CODI_FAILED;
      }
      int32_t codi_task_finish(codi_task *t, const codi_view *i, int32_t n, const codi_view *r, codi_view *o, char *e) {
        return CODI_FAILED;
      }
      int32_t codi_task_degrade(
          codi_task *t, const codi_batch *c, const codi_key *k, codi_batch *i, int32_t n, char *e) {
        return CODI_FAILED;
      }
      CODI_PLUGIN("super-resolution", "1.0.0", 40)
      """
    try Data(source.utf8).write(to: URL(filePath: folder("mark.c")))
    let compiler = Process()
    compiler.executableURL = URL(filePath: "/usr/bin/env")
    compiler.arguments = [
      "cc", "-shared", "-fPIC", "-I", Toy.root.appending(path: "Sources/CPluginABI/include").path, folder("mark.c"),
      "-o",
      folder("libMark.so"),
    ]
    try compiler.run()
    compiler.waitUntilExit()
    try #require(compiler.terminationStatus == 0)
    return folder("libMark.so")
  }
}
