import Bundles
import Foundation
import Registry
import TestSupport
import Testing

@Suite("Conversions with a plugin that fails") struct IsolationCommandTests {
  @Test(
    "a plugin that crashes, ends the process, or opens a file on one picture costs that picture; the others are converted",
    arguments: [
      ("__builtin_trap();", "SIGILL"), ("_exit(0);", "exit code 0"), ("open(\"/etc/passwd\", O_RDONLY);", "openat"),
      ("memset(c->data, 1, 1 << 26);", "behind the end of view 1"),
    ])
  func oneOfThree(attack: String, says: String) throws {
    let shop = try Workshop()
    try Toy.packAdapter(
      core: shop.folder("core.codi"), to: shop.folder("bad.codi"), version: SemanticVersion(1, 1, 0),
      library: try library(shop.folder, attack))
    try BundleRegistry(path: shop.folder("registry")).publish(shop.folder("bad.codi"))
    try shop.codi("install", "enlarge").expect(0)
    let folder = try shop.pictures("in", count: 3)
    let outcome = try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "out", "--json").expect(1)
    #expect(outcome.error.contains("p1.png") && outcome.error.contains(says), "\(outcome.error)")
    #expect(!outcome.error.contains("p0.png") && !outcome.error.contains("p2.png"), "\(outcome.error)")
    #expect(shop.results("out") == ["p0.png", "p2.png"])
  }

  /// A task that enlarges four times by repeating grey, and attacks pictures of 13 columns: the second one.
  private func library(_ folder: TemporaryFolder, _ attack: String) throws -> String {
    let source = """
      #include "codi_plugin.h"
      #include <fcntl.h>
      #include <string.h>
      #include <unistd.h>
      static int instance;
      int32_t codi_task_create(
          const codi_host *h, const codi_parameter *p, int32_t n, uint64_t s, codi_task **t, char *e) {
        *t = (codi_task *)&instance; return CODI_OK;
      }
      void codi_task_destroy(codi_task *t) {}
      int32_t codi_task_output_size(codi_task *t, int32_t w, int32_t h, int32_t *ow, int32_t *oh, char *e) {
        *ow = 4 * w; *oh = 4 * h; return CODI_OK;
      }
      static int32_t grey(codi_view *c) {
        for (int y = 0; y < c->height; y++)
          for (int x = 0; x < c->width * 3; x++) c->data[y * c->row_stride + x] = 0.5f;
        return CODI_OK;
      }
      int32_t codi_task_prepare(codi_task *t, const codi_view *i, int32_t n, codi_view *c, char *e) {
        if (i->full_width == 13) { \(attack) }
        return grey(c);
      }
      int32_t codi_task_finish(codi_task *t, const codi_view *i, int32_t n, const codi_view *r, codi_view *o, char *e) {
        return grey(o);
      }
      int32_t codi_task_degrade(
          codi_task *t, const codi_batch *c, const codi_key *k, codi_batch *i, int32_t n, char *e) {
        return CODI_FAILED;
      }
      CODI_PLUGIN("super-resolution", "1.0.0", 0)
      """
    try Data(source.utf8).write(to: URL(filePath: folder("bad.c")))
    let compiler = Process()
    compiler.executableURL = URL(filePath: "/usr/bin/cc")
    compiler.arguments = [
      "-shared", "-fPIC", "-fno-builtin", "-I", Toy.root.appending(path: "Sources/CPluginABI/include").path,
      folder("bad.c"), "-o", folder("libBad.so"),
    ]
    try compiler.run()
    compiler.waitUntilExit()
    try #require(compiler.terminationStatus == 0)
    return folder("libBad.so")
  }
}
