internal import Foundation
internal import GRDB

/// What became of every result of a folder: an SQLite file that one process at a time works with.
///
/// A result is noted with its digest before it gets its name, so whatever moment a process is killed at, the journal
/// tells a finished result from another file of that name. Changes are on the disk when a method returns.
public final class Journal: Sendable {
  /// The journal's name in a folder for results.
  public static let fileName = ".codi-job.sqlite"

  public let path: String
  private let database: DatabaseQueue

  /// Opens or makes a journal.
  /// - Parameter waiting: seconds to wait for another process that has it open.
  /// - Throws: `ConversionError`, `busy` when another process works with it, `journal` when it cannot be read or made.
  public init(path: String, waiting: Double = 0) throws(ConversionError) {
    self.path = path
    let end = ContinuousClock.now + .seconds(waiting)
    while true {
      do {
        database = try Self.guarding(path) { try Self.open(path) }
        return
      } catch  where error.code == .busy && ContinuousClock.now < end {
        // SQLite's own waiting covers neither changes of the journal mode nor recovery.
        usleep(50_000)
      }
    }
  }

  private static func open(_ path: String) throws -> DatabaseQueue {
    var configuration = Configuration()
    configuration.busyMode = .immediateError
    configuration.prepareDatabase { database in
      // An exclusive lock needs no shared memory, so this works on network file systems too; it goes with the process.
      for setting in ["locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"] {
        try database.execute(sql: "PRAGMA \(setting)")
      }
    }
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    try migrator.migrate(queue)
    // A process that only read would share: writing takes the lock.
    try queue.write { try $0.execute(sql: "UPDATE item SET attempts = attempts WHERE 0") }
    return queue
  }

  /// A journal in memory, gone with its last reference.
  public init() throws(ConversionError) {
    path = "journal in memory"
    database = try Self.guarding(path) {
      let queue = try DatabaseQueue()
      try Self.migrator.migrate(queue)
      return queue
    }
  }

  /// Folds everything into the one file and lets others open it.
  public func close() {
    // Both are tidiness: the next one who opens the journal mends what a kill left.
    try? database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
    try? database.close()
  }

  private static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1") { database in
      // Kept apart: most results of a job are made alike, and there may be a million.
      try database.create(table: Making.databaseTableName) { table in
        table.autoIncrementedPrimaryKey("id")
        let names = ["adapter", "core", "numerics", "parameters", "seed", "steps"]
        for name in names { table.column(name, .text).notNull() }
        table.uniqueKey(names)
      }
      try database.create(table: ItemRecord.databaseTableName, options: [.withoutRowID]) { table in
        table.primaryKey("output", .text)
        table.column("input", .text).notNull()
        table.column("state", .text).notNull().indexed()
        table.column("making", .integer).notNull().references(Making.databaseTableName)
        for name in ["inputDigest", "inputStamp", "result", "timing"] { table.column(name, .text) }
        table.column("attempts", .integer).notNull()
        table.column("started", .double)
        table.column("error", .text)
      }
    }
    migrator.registerMigration("others") { database in
      try database.alter(table: ItemRecord.databaseTableName) { $0.add(column: "others", .text) }
    }
    return migrator
  }

  // MARK: Reading

  /// What the journal knows of these results, in their order.
  func records(_ outputs: [String]) throws(ConversionError) -> [ItemRecord?] {
    try guarding {
      try database.read { database in
        let statement = try database.makeStatement(sql: "SELECT * FROM item WHERE output = ?")
        return try outputs.map { try ItemRecord.fetchOne(statement, arguments: [$0]) }
      }
    }
  }

  /// The making of this number.
  func making(_ id: Int64) throws(ConversionError) -> Making? {
    try guarding { try database.read { try Making.fetchOne($0, key: id) } }
  }

  /// Every result in order of name.
  func all() throws(ConversionError) -> [ItemRecord] {
    try guarding { try database.read { try ItemRecord.order(Column("output")).fetchAll($0) } }
  }

  // MARK: Writing

  /// Notes many results at once: all or none.
  func save(_ records: [ItemRecord]) throws(ConversionError) {
    try guarding { try database.write { database in for record in records { try record.save(database) } } }
  }

  func save(_ record: ItemRecord) throws(ConversionError) {
    try guarding { try database.write { try record.save($0) } }
  }

  /// The number of a way of making, which is noted when it is new.
  func id(of making: Making) throws(ConversionError) -> Int64 {
    try guarding { try database.write { try Self.id(of: making, $0) } }
  }

  private static func id(of making: Making, _ database: Database) throws -> Int64 {
    let known = try Int64.fetchOne(
      database,
      sql: """
        SELECT id FROM making WHERE adapter = ? AND core = ? AND numerics = ? AND parameters = ? AND seed = ? AND steps = ?
        """,
      arguments: [making.adapter, making.core, making.numerics, making.parameters, making.seed, making.steps])
    if let known { return known }
    try making.insert(database)
    return database.lastInsertedRowID
  }

  /// Takes what another journal knows better: a finished result before one that is not, else the later attempt.
  /// - Parameter outputs: what is asked for; everything if left out.
  func absorb(_ other: Journal, outputs: [String]? = nil) throws(ConversionError) {
    let all: [ItemRecord]
    if let outputs { all = try other.records(outputs).compactMap { $0 } } else { all = try other.all() }
    var makings: [Int64: Making] = [:]
    for id in Set(all.map(\.making)) { makings[id] = try other.making(id) }
    let known = makings
    try guarding {
      try database.write { database in
        let ids = try known.mapValues { try Self.id(of: $0, database) }
        for var record in all {
          if let mine = try ItemRecord.fetchOne(database, key: record.output) {
            let (isDone, wasDone) = (record.state == .done, mine.state == .done)
            guard isDone == wasDone ? record.started ?? 0 > mine.started ?? 0 : isDone else { continue }
          }
          guard let making = ids[record.making] else { continue }
          record.making = making
          try record.save(database)
        }
      }
    }
  }

  // MARK: Errors

  private func guarding<R>(_ body: () throws -> R) throws(ConversionError) -> R { try Self.guarding(path, body) }

  private static func guarding<R>(_ path: String, _ body: () throws -> R) throws(ConversionError) -> R {
    do { return try body() } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
      throw ConversionError(
        .busy, at: path, "Another codi works with this journal.",
        remedy: "Wait for it; for several at a time give each its share (--share 1/2, --share 2/2).")
    } catch let error as DatabaseError where [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode) {
      throw ConversionError(
        .journal, at: path, "The journal is damaged: \(error.message ?? "\(error.resultCode)").",
        remedy: "Move it away; without it results look like files of others: --existing skip leaves them, --existing "
          + "overwrite makes them anew.")
    } catch {
      let reason = (error as? DatabaseError).map { "\($0.message ?? "\($0.resultCode)")" } ?? "\(error)"
      throw ConversionError(
        .journal, at: path, "The journal cannot be used: \(reason).",
        remedy: "Check that it can be written and has room, or name another file with --journal.")
    }
  }
}
