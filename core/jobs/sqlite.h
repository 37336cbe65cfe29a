// SQLite behind Status and destructors. Not thread-safe: the owner holds one mutex around a whole transaction.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace gwq {

// A prepared statement on loan from its Database, reset when destroyed. Columns count from 0.
class Statement {
 public:
  Statement(sqlite3* database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}
  ~Statement();
  Statement(Statement&& other) noexcept : database_(other.database_), statement_(other.statement_), next_(other.next_) {
    other.statement_ = nullptr;
  }
  Statement& operator=(Statement&&) = delete;

  // Binds the next parameters, in order.
  Statement& Bind(std::string_view text);
  Statement& Bind(const char* text) { return Bind(std::string_view(text)); }
  Statement& Bind(const std::string& text) { return Bind(std::string_view(text)); }
  Statement& Bind(int64_t number);
  Statement& Bind(uint64_t number) { return Bind(static_cast<int64_t>(number)); }
  Statement& Bind(int number) { return Bind(int64_t{number}); }
  Statement& Bind(bool truth) { return Bind(int64_t{truth}); }
  template <class First, class Second, class... More>
  Statement& Bind(const First& first, const Second& second, const More&... more) {
    Bind(first);
    return Bind(second, more...);
  }

  // True if there is a row, false at the end.
  [[nodiscard]] absl::StatusOr<bool> Step();
  // Steps to the end.
  [[nodiscard]] absl::Status Run();
  [[nodiscard]] int64_t Int(int column) const;
  [[nodiscard]] uint64_t Unsigned(int column) const { return static_cast<uint64_t>(Int(column)); }
  [[nodiscard]] std::string Text(int column) const;

 private:
  sqlite3* const database_;
  sqlite3_stmt* statement_;
  int next_ = 1;
};

// One connection, which holds the file for itself: WAL, synchronous=FULL, foreign keys.
class Database {
 public:
  // UNAVAILABLE if another process holds the file for longer than a few seconds; DATA_LOSS if it is no database.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();

  // Several statements without parameters.
  [[nodiscard]] absl::Status Execute(const std::string& sql);
  // `sql` is prepared once and kept. A statement must be gone before the same text is prepared again.
  [[nodiscard]] absl::StatusOr<Statement> Prepare(std::string_view sql);
  // Rows changed by the last statement.
  [[nodiscard]] int64_t Changes() const;
  // Called with "begin" before and "commit" after a transaction becomes durable; for tests that die there.
  void SetStepHook(std::function<void(std::string_view step)> hook) { hook_ = std::move(hook); }

 private:
  friend class Transaction;
  explicit Database(sqlite3* handle) : handle_(handle) {}
  void TellStep(std::string_view step) const {
    if (hook_) hook_(step);
  }

  sqlite3* const handle_;
  std::unordered_map<std::string, sqlite3_stmt*> prepared_;
  std::function<void(std::string_view)> hook_;
};

// Rolled back unless Commit returned OK.
class Transaction {
 public:
  [[nodiscard]] static absl::StatusOr<Transaction> Begin(Database& database);
  ~Transaction();
  Transaction(Transaction&& other) noexcept : database_(other.database_) { other.database_ = nullptr; }
  Transaction& operator=(Transaction&&) = delete;
  // Durable on OK.
  [[nodiscard]] absl::Status Commit();

 private:
  explicit Transaction(Database* database) : database_(database) {}
  Database* database_;
};

}  // namespace gwq
