#include "state/sqlite_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include "state/store.hpp"

namespace etl::state {
namespace {

constexpr int application_id = 0x65746c73;  // "etls", PRAGMA application_id: whose file it is
constexpr int schema_version = 1;           // PRAGMA user_version

std::string_view column_text(sqlite3_stmt* row, int column) {
  auto const* text = static_cast<char const*>(sqlite3_column_blob(row, column));
  return {text == nullptr ? "" : text, static_cast<std::size_t>(sqlite3_column_bytes(row, column))};
}

// The text must outlive the statement's next reset.
void bind_text(sqlite3_stmt* statement, int parameter, std::string_view text) {
  sqlite3_bind_text64(statement, parameter, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

}  // namespace

void sqlite_file::closer::operator()(sqlite3* database) const { sqlite3_close_v2(database); }
void sqlite_file::closer::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

error sqlite_file::failure(int code) const {
  auto const said = [&](severity kind, std::string_view name, std::string hint) {
    return error{kind, name, fmt::format("the state in {}: {}", path_, sqlite3_errstr(code)), std::move(hint)};
  };
  switch (code & 0xff) {
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return said(severity::config, "state.read_only",
                  "The user that runs this process needs to write the file, and to make files beside it.");
    case SQLITE_FULL:
      return said(severity::retry, "state.disk_full", "Make room on its disk.");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return said(severity::config, "state.damaged",
                  "Put a backup in its place. Or remove it: what the destination holds is known there, and the tables "
                  "whose copies it does not know are copied again.");
    default:
      return said(severity::retry, "state.failed", {});
  }
}

result<void> sqlite_file::run(char const* sql) {
  if (int const code = sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr); code != SQLITE_OK) {
    return failure(code);
  }
  return result<void>();
}

result<sqlite_file::statement> sqlite_file::prepare(char const* sql) {
  sqlite3_stmt* made = nullptr;
  int const code = sqlite3_prepare_v2(database_.get(), sql, -1, &made, nullptr);
  if (code != SQLITE_OK) return failure(code);
  if (sqlite3_bind_parameter_count(made) > 0) bind_text(made, 1, pipeline_);
  return statement(made);
}

result<bool> sqlite_file::step(statement const& running) {
  int const code = sqlite3_step(running.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return failure(code);
}

result<sqlite_file> sqlite_file::open(std::string path, std::string pipeline) {
  if (auto made = make_directories("state.open", parent_directory(path)); !made) return fail(std::move(made));
  error in_use{
      severity::config, "state.in_use", fmt::format("the pipeline {} runs already", pipeline),
      "Stop that process first. A pipeline that is to run beside it needs another name, slot and destination."};
  auto lock = lock_file::take("state.open", fmt::format("{}.{}.lock", path, pipeline), std::move(in_use));
  if (!lock) return fail(std::move(lock));
  // Made here, so that it is for the user alone; SQLite gives the files beside it the same permissions.
  if (auto made = open_file("state.open", path, O_RDWR | O_CREAT); !made) return fail(std::move(made));

  sqlite_file file(std::move(*lock), std::move(path), std::move(pipeline));
  sqlite3* database = nullptr;
  int const code = sqlite3_open_v2(file.path_.c_str(), &database, SQLITE_OPEN_READWRITE, nullptr);
  file.database_.reset(database);
  if (code != SQLITE_OK) return file.failure(code);
  sqlite3_busy_timeout(database, 5'000);
  if (auto ready = file.prepare_schema(); !ready) return fail(std::move(ready));
  return file;
}

result<void> sqlite_file::prepare_schema() {
  if (auto begun = run("BEGIN IMMEDIATE"); !begun) return begun;
  int versions[2] = {};
  char const* const questions[] = {"PRAGMA application_id", "PRAGMA user_version"};
  for (int i = 0; i < 2; ++i) {
    auto asked = prepare(questions[i]);
    if (!asked) return fail(std::move(asked));
    if (auto row = step(*asked); !row) return fail(std::move(row));
    versions[i] = sqlite3_column_int(asked->get(), 0);
  }
  auto tables = prepare("SELECT count(*) FROM sqlite_schema");
  if (!tables) return fail(std::move(tables));
  if (auto row = step(*tables); !row) return fail(std::move(row));
  bool const empty = sqlite3_column_int(tables->get(), 0) == 0;
  tables->reset();
  if (!empty && versions[0] != application_id) {
    return error{severity::config, "state.foreign", fmt::format("{} is a database of another program", path_),
                 "Set state.url to a file of its own."};
  }
  if (versions[1] > schema_version) {
    return error{severity::config, "state.newer", fmt::format("{} was written by a later version of etl-stream", path_),
                 "Run that version, or a later one."};
  }
  if (empty) {
    auto const sql = fmt::format(
        "CREATE TABLE document (pipeline TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, "
        "PRIMARY KEY (pipeline, key)) WITHOUT ROWID;"
        "PRAGMA application_id = {}; PRAGMA user_version = {}",
        application_id, schema_version);
    if (auto made = run(sql.c_str()); !made) return made;
  }
  if (auto committed = run("COMMIT"); !committed) return committed;
  return run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
}

result<std::optional<std::string>> sqlite_file::get(std::string_view key) {
  auto found = prepare("SELECT value FROM document WHERE pipeline = ? AND key = ?");
  if (!found) return fail(std::move(found));
  bind_text(found->get(), 2, key);
  auto row = step(*found);
  if (!row) return fail(std::move(row));
  if (!*row) return std::optional<std::string>();
  return std::optional<std::string>(column_text(found->get(), 0));
}

result<std::vector<model::document>> sqlite_file::all() {
  auto found = prepare("SELECT key, value FROM document WHERE pipeline = ? ORDER BY key");
  if (!found) return fail(std::move(found));
  std::vector<model::document> documents;
  for (;;) {
    auto row = step(*found);
    if (!row) return fail(std::move(row));
    if (!*row) return documents;
    documents.push_back({std::string(column_text(found->get(), 0)), std::string(column_text(found->get(), 1))});
  }
}

result<void> sqlite_file::put(std::vector<model::document> const& documents) {
  if (documents.empty()) return result<void>();
  auto const write = [&]() -> result<void> {
    auto store = prepare("INSERT OR REPLACE INTO document (pipeline, key, value) VALUES (?, ?, ?)");
    if (!store) return fail(std::move(store));
    auto remove = prepare("DELETE FROM document WHERE pipeline = ? AND key = ?");
    if (!remove) return fail(std::move(remove));
    for (auto const& [key, value] : documents) {
      auto const& change = value.empty() ? *remove : *store;
      sqlite3_reset(change.get());
      bind_text(change.get(), 2, key);
      if (!value.empty()) bind_text(change.get(), 3, value);
      if (auto done = step(change); !done) return fail(std::move(done));
    }
    return result<void>();
  };
  if (auto begun = run("BEGIN IMMEDIATE"); !begun) return begun;
  auto written = write();
  if (written) written = run("COMMIT");
  // Some failures end the transaction by themselves.
  if (!written && sqlite3_get_autocommit(database_.get()) == 0) (void)run("ROLLBACK");
  return written;
}

namespace {

class sqlite_store final : public store {
 public:
  sqlite_store(sqlite_file file, runtime::blocking_worker& worker) : file_(std::move(file)), worker_(worker) {}

  asio::awaitable<result<std::optional<std::string>>> get(std::string key) override {
    co_return co_await worker_.run([this, &key] { return file_->get(key); });
  }
  asio::awaitable<result<void>> put(std::vector<model::document> documents) override {
    co_return co_await worker_.run([this, &documents] { return file_->put(documents); });
  }
  asio::awaitable<result<std::vector<model::document>>> all() override {
    co_return co_await worker_.run([this] { return file_->all(); });
  }
  asio::awaitable<void> close() override {
    (void)co_await worker_.run([this] {
      file_.reset();
      return result<void>();
    });
  }

 private:
  std::optional<sqlite_file> file_;
  runtime::blocking_worker& worker_;
};

}  // namespace

asio::awaitable<result<std::unique_ptr<store>>> open_store(std::string url, std::string pipeline,
                                                           runtime::blocking_worker& worker) {
  constexpr std::string_view scheme = "sqlite:";
  if (!url.starts_with(scheme) || url.size() == scheme.size()) {
    co_return error{severity::config, "state.url", "the state's URL is not sqlite: and the path of a file"};
  }
  auto file = co_await worker.run([&] { return sqlite_file::open(url.substr(scheme.size()), pipeline); });
  if (!file) co_return fail(std::move(file));
  co_return std::make_unique<sqlite_store>(std::move(*file), worker);
}

}  // namespace etl::state
