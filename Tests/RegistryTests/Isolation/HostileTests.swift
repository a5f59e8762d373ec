import AttackReport
import Foundation
import Registry
import Testing

/// Each attack costs the picture it was tried on, with an error that says what happened. Nothing gets out, and the
/// next picture is converted.
@Suite("A hostile plugin", .serialized) struct HostileTests {
  struct Attack: Sendable, CustomTestStringConvertible {
    let name: String
    let code: String
    let expected: PluginError.Code
    /// Part of the reason.
    let says: String
    var globals = ""
    var testDescription: String { name }
  }

  /// `%SECRET%`, `%MARK%` and `%SOCKET%` are paths in the test's folder, `%PARENT%` is the test's process.
  static let attacks: [Attack] = [
    Attack(
      name: "reads a secret file",
      code: "int f = open(\"%SECRET%\", O_RDONLY); float v = 0; if (f >= 0) { read(f, &v, 4); output->data[0] = v; }",
      expected: .forbidden, says: "openat"),
    Attack(
      name: "lists a folder", code: "int f = open(\"/\", O_RDONLY | O_DIRECTORY); (void)f;", expected: .forbidden,
      says: "openat"),
    Attack(
      name: "opens a file for writing", code: "int f = open(\"%MARK%\", O_WRONLY | O_CREAT, 0644); write(f, \"x\", 1);",
      expected: .forbidden, says: "openat"),
    Attack(
      name: "removes a file", code: "unlink(\"%SECRET%\");", expected: .forbidden, says: "unlink"),
    Attack(
      name: "connects a socket to the network",
      code: """
        int s = socket(AF_INET, SOCK_STREAM, 0); struct sockaddr_in a = {AF_INET, htons(9), {htonl(0x7f000001)}};
        connect(s, (struct sockaddr *)&a, sizeof a);
        """, expected: .forbidden, says: "socket"),
    Attack(
      name: "connects a socket on this machine",
      code: "int p[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, p);", expected: .forbidden, says: "system call"),
    Attack(name: "forks", code: "fork();", expected: .forbidden, says: "clone"),
    Attack(
      name: "starts a thread", code: "pthread_t thread; pthread_create(&thread, NULL, idle, NULL);",
      expected: .forbidden, says: "system call",
      globals: "#include <pthread.h>\nstatic void *idle(void *u) { for (;;) pause(); }"),
    Attack(
      name: "executes a program", code: "char *a[] = {\"/bin/sh\", \"-c\", \"touch %MARK%\", 0}; execv(a[0], a);",
      expected: .forbidden, says: "execve"),
    Attack(name: "kills the parent", code: "kill(%PARENT%, SIGKILL);", expected: .forbidden, says: "kill"),
    Attack(
      name: "kills the parent's thread", code: "syscall(SYS_tgkill, %PARENT%, %PARENT%, SIGKILL);",
      expected: .forbidden, says: "tgkill"),
    Attack(
      name: "traces the parent", code: "ptrace(PTRACE_ATTACH, %PARENT%, 0, 0);", expected: .forbidden, says: "ptrace"),
    Attack(
      name: "writes the parent's memory",
      code: "syscall(SYS_process_vm_writev, %PARENT%, 0, 0, 0, 0, 0);", expected: .forbidden, says: "process_vm_writev"),
    Attack(
      name: "loops for ever", code: "for (volatile int i = 0;; i++) ;", expected: .deadline, says: "was stopped"),
    Attack(name: "sleeps for ever", code: "for (;;) sleep(1000);", expected: .deadline, says: "no answer"),
    Attack(
      name: "stops its own process", code: "raise(SIGSTOP);", expected: .deadline, says: "no answer"),
    Attack(
      name: "takes a terabyte and uses it", code: "char *m = malloc(1ull << 40); memset(m, 1, 1ull << 40);",
      expected: .crashed, says: "SIGSEGV"),
    Attack(
      name: "fills all memory that it can get",
      code: "for (;;) { char *m = malloc(1 << 28); if (!m) abort(); m[0] = 1; }", expected: .crashed, says: "SIGABRT"),
    Attack(
      name: "raises its own limits",
      code: "struct rlimit l = {RLIM_INFINITY, RLIM_INFINITY}; setrlimit(RLIMIT_AS, &l);", expected: .forbidden,
      says: "limit"),
    Attack(
      name: "writes behind its output",
      code: "for (int i = 0; i < 64; i++) output->data[output->row_stride * output->height + i] = 1;",
      expected: .contract, says: "behind the end of view 1"),
    Attack(
      name: "writes one value behind its output", code: "output->data[7 * 7 * 3] = 1;", expected: .contract,
      says: "behind the last"),
    Attack(
      name: "writes before its output", code: "output->data[-1] = 1;", expected: .contract, says: "before the first"),
    Attack(
      name: "writes far before its output", code: "output->data[-1000] = 1;", expected: .contract, says: "before"),
    Attack(
      name: "writes to its input", code: "((float *)input->data)[3] = 1;", expected: .contract, says: "only read"),
    Attack(
      name: "reads behind its input",
      code: "float s = 0; for (int i = 0; i < 64; i++) s += input->data[input->row_stride * input->height + i]; "
        + "output->data[0] = s;", expected: .contract, says: "behind the end of view 0"),
    Attack(name: "traps", code: "__builtin_trap();", expected: .crashed, says: "SIGILL"),
    Attack(name: "aborts", code: "abort();", expected: .crashed, says: "SIGABRT"),
    Attack(name: "exits as if all were well", code: "exit(0);", expected: .crashed, says: "exit code 0"),
    Attack(name: "exits at once", code: "_exit(3);", expected: .crashed, says: "exit code 3"),
    Attack(name: "raises a signal", code: "raise(SIGTERM);", expected: .crashed, says: "signal 15"),
    Attack(
      name: "calls itself without end", code: "output->data[0] = deep(1);", expected: .crashed, says: "SIGSEGV",
      globals: "__attribute__((noinline)) static float deep(float x) { volatile char b[4096]; b[0] = x; "
        + "return deep(x + b[0]) + b[0]; }"),
    Attack(
      name: "blocks all signals and loops",
      code: "sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, 0); for (;;) ;", expected: .deadline,
      says: "was stopped"),
    Attack(
      name: "blocks all signals and opens a file",
      code: "sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, 0); open(\"%SECRET%\", O_RDONLY);",
      expected: .forbidden, says: "what no plugin may do"),
    Attack(
      name: "handles the filter's signal itself",
      code: "signal(SIGSYS, SIG_IGN); open(\"%SECRET%\", O_RDONLY);", expected: .forbidden, says: "rt_sigaction"),
    Attack(name: "closes the socket", code: "close(3); for (;;) ;", expected: .crashed, says: "closed its connection"),
    Attack(
      name: "closes all its files", code: "for (int i = 0; i < 32; i++) close(i);", expected: .crashed, says: "71"),
    Attack(
      name: "talks nonsense on the socket", code: "char b[100] = {1}; write(3, b, 100);", expected: .contract,
      says: "100 bytes"),
    Attack(
      name: "asks for a service with wrong sizes",
      code: "r.kind = 36; r.width = r.height = 1 << 30; write(3, &r, sizeof r);",
      expected: .contract, says: "no sense", globals: "#include \"plugin_host.h\"\nstatic ch_reply r;"),
    Attack(
      name: "asks for services without reading the answers",
      code: "r.kind = 35; r.bytes = 4096; for (;;) write(3, &r, sizeof r);", expected: .contract,
      says: "without reading", globals: "#include \"plugin_host.h\"\nstatic ch_reply r;"),
    Attack(
      name: "floods the log", code: "for (;;) host->log(host->context, 3, \"\\033[2J me again\");", expected: .contract,
      says: "log lines"),
    Attack(
      name: "makes memory executable",
      code: "void *m = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);",
      expected: .forbidden, says: "mmap"),
    Attack(
      name: "removes its own filter by io_uring", code: "syscall(425, 8, 0);", expected: .forbidden,
      says: "system call 425"),
    Attack(
      name: "shrinks the shared memory", code: "ftruncate(4, 0);", expected: .forbidden, says: "ftruncate"),
    Attack(
      name: "answers with not-a-number", code: "output->data[5] = NAN;", expected: .contract, says: "not a finite"),
  ]

  @Test("costs one picture and lets nothing out when it", arguments: attacks)
  func oneCall(_ attack: Attack) throws {
    let folder = try TemporaryFolder()
    let secret = folder.path + "/secret"
    let mark = folder.path + "/mark"
    try Data([0, 0, 64, 65]).write(to: URL(filePath: secret))
    var code = attack.code
    for (word, value) in [("%SECRET%", secret), ("%MARK%", mark), ("%PARENT%", "\(getpid())")] {
      code = code.replacingOccurrences(of: word, with: value)
    }
    let plugin = try Hostile.open(try Hostile.compile(code, globals: attack.globals, folder: folder))
    let good = try Hostile.picture(attacked: false)
    // A side of 7 leaves no room for alignment that is not a canary.
    let bad = try Hostile.picture(attacked: true, side: 7)
    #expect(try plugin.prepare([good], region: good.region, channels: 3).values == good.values)

    let error = try #require(throws: PluginError.self) {
      try plugin.prepare([bad], region: bad.region, channels: 3)
    }
    #expect(error.code == attack.expected, "\(error)")
    #expect(error.reason.contains(attack.says), "\(error)")
    #expect(!FileManager.default.fileExists(atPath: mark), "nothing was written")
    #expect(FileManager.default.fileExists(atPath: secret), "nothing was removed")

    #expect(try plugin.prepare([good], region: good.region, channels: 3).values == good.values, "the next picture")
    AttackReport.record(
      .plugins, attack.name, outcome: "\(error.code): costs one picture, the next one is converted")
  }

  @Test(
    "gets nowhere in a constructor, which runs while the library is opened, when it",
    arguments: [
      ("reads a secret file", "int f = open(\"%SECRET%\", O_RDONLY); if (f >= 0) _exit(99);", "opens all the same"),
      ("writes a file", "int f = open(\"%MARK%\", O_WRONLY | O_CREAT, 0644); write(f, \"x\", 1);", "openat"),
      ("connects a socket", "socket(AF_INET, SOCK_STREAM, 0);", "socket"),
      ("forks", "fork();", "clone"),
      ("loops for ever", "for (;;) ;", "was stopped"),
      ("ends the process", "_exit(0);", "exit code 0"),
      ("writes a file with the old system call", "syscall(SYS_open, \"%MARK%\", O_WRONLY | O_CREAT, 0644);", "open"),
    ])
  func constructor(name: String, code: String, says: String) throws {
    let folder = try TemporaryFolder()
    let (secret, mark) = (folder.path + "/secret", folder.path + "/mark")
    try Data("secret".utf8).write(to: URL(filePath: secret))
    let attack = code.replacingOccurrences(of: "%SECRET%", with: secret)
      .replacingOccurrences(of: "%MARK%", with: mark)
    let path = try Hostile.compile(attack, in: .constructor, folder: folder)
    do {
      let plugin = try Hostile.open(path)
      #expect(says == "opens all the same", "it should have been stopped")
      #expect(plugin.descriptor.task == "toy")
    } catch let error as PluginError {
      #expect(error.reason.contains(says), "\(error)")
    }
    #expect(!FileManager.default.fileExists(atPath: mark))
    AttackReport.record(.plugins, "\(name), in a constructor", outcome: "\(says); nothing got out")
  }

  /// A constructor may do all that opening a library takes, and need never end. What it can keep for its calls is that.
  @Test(
    "keeps the tighter filter away in a constructor: it reads libraries, and still no other file",
    .enabled(if: IsolationLevel.offered.landlock > 0, "this kernel has no Landlock"))
  func firstStageKept() throws {
    let folder = try TemporaryFolder()
    let secret = folder.path + "/secret"
    try Data([0, 0, 64, 65]).write(to: URL(filePath: secret))
    let libc = try #require(
      ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6"].first {
        FileManager.default.fileExists(atPath: $0)
      })
    let path = try Hostile.compile(
      """
      int s = open("\(secret)", O_RDONLY); output->data[1] = errno; output->data[0] = 0.5f;
      if (s >= 0) read(s, output->data, 4);
      output->data[2] = open("\(libc)", O_RDONLY) >= 0;
      """,
      globals: """
        #include <linux/filter.h>
        #include <linux/seccomp.h>
        #include <stddef.h>
        __attribute__((constructor)) static void keep(void) {
          struct sock_filter pretend[] = { /* that both calls succeeded */
              BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 1, 0),
              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 446 /* landlock_restrict_self */, 0, 1),
              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
          struct sock_fprog filter = {5, pretend};
          syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
        }
        """, folder: folder)
    let plugin = try Hostile.open(path)
    let bad = try Hostile.picture(attacked: true)
    let values = try plugin.prepare([bad], region: bad.region, channels: 3).values
    #expect(values[0] == 0.5 && values[1] == Float(EACCES), "\(values.prefix(3))")
    #expect(values[2] == 1, "the filter was kept away, or this test shows nothing")
    AttackReport.record(
      .plugins, "keeps the tighter filter away, in a constructor", outcome: "reads libraries; no other file")
  }

  @Test("lies about sizes: a size of nothing, of less than nothing, and one too large are refused")
  func liesAboutSizes() throws {
    let folder = try TemporaryFolder()
    for size in ["0", "-5", "0x7fffffff"] {
      let path = try Hostile.compile("*ow = *oh = \(size); return CODI_OK;", in: .outputSize, folder: folder)
      let plugin = try Hostile.open(path)
      let error = #expect(throws: PluginError.self) { try plugin.outputSize(width: 8, height: 8) }
      #expect(error?.code == .failed, "\(String(describing: error))")
      AttackReport.record(.plugins, "lies about sizes", outcome: "failed")
    }
  }

  @Test("is not started again after it failed time after time")
  func givenUp() throws {
    let folder = try TemporaryFolder()
    var limits = Hostile.limits
    limits.failures = 3
    let plugin = try Hostile.open(try Hostile.compile("abort();", folder: folder), limits: limits)
    let bad = try Hostile.picture(attacked: true)
    var reasons: [String] = []
    for _ in 0..<5 {
      let error = #expect(throws: PluginError.self) { try plugin.prepare([bad], region: bad.region, channels: 3) }
      reasons.append(error?.reason ?? "")
    }
    #expect(reasons.prefix(3).allSatisfy { $0.contains("SIGABRT") }, "\(reasons)")
    #expect(reasons.suffix(2).allSatisfy { $0.contains("not started again") }, "\(reasons)")
  }

  @Test("finds no environment, no open files but its own, and the root as its folder")
  func nothingInherited() throws {
    let folder = try TemporaryFolder()
    setenv("CODI_TEST_SECRET", "in the environment", 1)
    defer { unsetenv("CODI_TEST_SECRET") }
    let open = try FileHandle(forReadingFrom: URL(filePath: #filePath))
    defer { try? open.close() }
    let path = try Hostile.compile(
      """
      if (environ && environ[0]) { strcpy(error, "environment"); return CODI_FAILED; }
      for (int i = 5; i < 1024; i++) if (lseek(i, 0, SEEK_CUR) >= 0 || errno != EBADF) {
        sprintf(error, "file %d", i); return CODI_FAILED; }
      """, folder: folder)
    let plugin = try Hostile.open(path)
    let bad = try Hostile.picture(attacked: true)
    _ = try plugin.prepare([bad], region: bad.region, channels: 3)
  }

  @Test("without Landlock the filter of system calls still keeps every file closed")
  func withoutLandlock() throws {
    let folder = try TemporaryFolder()
    var limits = Hostile.limits
    limits.usesLandlock = false
    let path = try Hostile.compile("open(\"/etc/passwd\", O_RDONLY);", folder: folder)
    let plugin = try Hostile.open(path, limits: limits)
    #expect(plugin.isolation?.landlock == 0 && plugin.isolation?.isComplete == false)
    let bad = try Hostile.picture(attacked: true)
    let error = #expect(throws: PluginError.self) { try plugin.prepare([bad], region: bad.region, channels: 3) }
    #expect(error?.code == .forbidden)
  }
}
