#include "destination/file/segment_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "destination/file/names.hpp"
#include "encode/json_text.hpp"

namespace etl::destination::file {
namespace {

namespace json = boost::json;

constexpr std::string_view code = "destination.file";
constexpr std::string_view manifest_name = "manifest.ndjson";
constexpr std::string_view private_directory = ".etl-stream";
constexpr std::string_view incoming_directory = ".etl-stream/incoming";
constexpr std::size_t piece_size = 128 << 10;  // gathered before it is compressed and written
constexpr std::size_t most_open = 128;         // segments; of each, a file and a piece

std::string columns_text(model::relation const& table) {
  json::array columns;
  for (auto const& column : table.columns) {
    columns.push_back(json::object{{"name", column.name},
                                   {"type", column.type_name},
                                   {"base_type", column.base_type_name},
                                   {"not_null", column.not_null}});
  }
  json::array key;
  for (auto const index : table.key) key.push_back(json::string(table.columns[index].name));
  return json::serialize(json::object{{"schema", table.schema},
                                      {"table", table.name},
                                      {"columns", std::move(columns)},
                                      {"key", std::move(key)}}) +
         '\n';
}

// rename(2) that does not replace; file systems that cannot promise it rename all the same.
int rename_new(std::string const& from, std::string const& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

struct segment_store::segment {
  table* of;
  std::string incoming;  // path
  std::string columns;
  state::file_handle file;
  buffer piece;  // rows not yet written to the file
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  position first{};
  position last{};
};

segment_store::segment_store(store_options options) : options_(std::move(options)), compressor_(options_.compression) {}

segment_store::~segment_store() = default;

std::string segment_store::at(std::string_view name) const { return fmt::format("{}/{}", options_.path, name); }

result<std::unique_ptr<segment_store>> segment_store::open(store_options options) {
  std::unique_ptr<segment_store> made(new segment_store(std::move(options)));
  if (auto prepared = made->prepare(); !prepared) return fail(std::move(prepared));
  return made;
}

result<void> segment_store::prepare() {
  if (auto made = state::make_directories(code, at(incoming_directory)); !made) return fail(std::move(made));
  error in_use{severity::config, "destination.in_use", fmt::format("{} is being written to", options_.path),
               "Stop that process first, or give this pipeline a directory of its own."};
  auto lock = state::lock_file::take(code, at(private_directory) + "/lock", std::move(in_use));
  if (!lock) return fail(std::move(lock));
  lock_.emplace(std::move(*lock));
  if (auto claimed = claim(); !claimed) return claimed;

  auto opened = manifest::open(at(manifest_name));
  if (!opened) return fail(std::move(opened));
  manifest_.emplace(std::move(*opened));
  accepted_ = manifest_->durable();
  if (auto removed = remove_leftovers(); !removed) return removed;
  return state::sync_directory(code, options_.path);
}

// Positions of one pipeline mean nothing to another.
result<void> segment_store::claim() {
  auto const path = at(private_directory) + "/pipeline";
  auto const wanted = options_.pipeline + '\n';
  if (::access(path.c_str(), F_OK) != 0) {
    if (::access(at(manifest_name).c_str(), F_OK) == 0) {
      return error{severity::config, "destination.other_pipeline",
                   fmt::format("{} has a manifest that is not of this program", options_.path),
                   "Give this pipeline a directory of its own."};
    }
    return state::replace_file(code, path, wanted);
  }
  auto file = state::open_file(code, path, O_RDONLY);
  if (!file) return fail(std::move(file));
  auto owner = state::read_all(code, *file, path);
  if (!owner) return fail(std::move(owner));
  if (*owner == wanted) return result<void>();
  return error{severity::config, "destination.other_pipeline",
               fmt::format("{} belongs to the pipeline {}", options_.path, owner->substr(0, owner->find('\n'))),
               "Give this pipeline a directory of its own."};
}

// Segments of a flush that did not get as far as its line in the manifest: those being written, and those that are in
// place already, above the position that is durable.
result<void> segment_store::remove_leftovers() {
  namespace fs = std::filesystem;
  std::error_code failed;
  for (auto const& left : fs::directory_iterator(at(incoming_directory), failed)) {
    if (::unlink(left.path().c_str()) != 0) return state::file_error(code, "removing", left.path(), errno);
  }
  if (failed) return state::file_error(code, "reading", at(incoming_directory), failed.value());
  for (auto const& directory : fs::directory_iterator(options_.path, failed)) {
    auto const name = directory.path().filename().string();
    if (name.starts_with('.') || !directory.is_directory(failed)) continue;
    for (auto const& found : fs::directory_iterator(directory.path(), failed)) {
      auto const start = segment_start(found.path().filename().string());
      if (!start) continue;
      if (*start <= manifest_->durable()) {
        with_rows_.insert(name);
      } else if (::unlink(found.path().c_str()) != 0) {
        return state::file_error(code, "removing", found.path(), errno);
      }
    }
    if (failed) return state::file_error(code, "reading", directory.path(), failed.value());
  }
  if (failed) return state::file_error(code, "reading", options_.path, failed.value());
  return result<void>();
}

recovered segment_store::progress() const {
  recovered found{manifest_->durable(), {}};
  for (auto const& [key, value] : manifest_->documents()) found.documents.push_back({key, value});
  return found;
}

result<table_state> segment_store::ensure_table(model::relation const& wanted) {
  auto const directory = directory_name(wanted.schema, wanted.name);
  auto const refuse = [&](std::string_view why) {
    error failure{severity::data, "destination.table_name",
                  fmt::format("the table with the OID {} cannot have a directory: its name is {}", wanted.oid, why),
                  "Rename it, or leave it out (source.tables)."};
    failure.table = wanted.oid;
    return failure;
  };
  bool const readable = encode::valid_utf8(wanted.schema) && encode::valid_utf8(wanted.name) &&
                        std::ranges::all_of(wanted.columns, [](auto const& c) { return encode::valid_utf8(c.name); });
  if (!readable) return refuse("not UTF-8, or a column's is not");
  if (directory.size() > NAME_MAX) return refuse("too long");

  auto made = state::make_directories(code, at(directory));
  if (!made) return fail(std::move(made));
  auto& found = tables_[directory];
  found.schema = wanted.schema;
  found.name = wanted.name;
  found.directory = directory;
  tables_by_oid_[wanted.oid] = &found;
  if (auto text = columns_text(wanted); text != found.columns_text) {
    if (auto finished = finish(found); !finished) return fail(std::move(finished));
    if (auto saved = save_columns(found, std::move(text)); !saved) return fail(std::move(saved));
  }
  return table_state{.created = *made, .has_rows = with_rows_.contains(directory)};
}

// Uses the newest of the table's files again where it says the same.
result<void> segment_store::save_columns(table& of, std::string text) {
  unsigned number = 1;
  while (::access(at(of.directory + '/' + columns_name(number)).c_str(), F_OK) == 0) ++number;
  bool same = false;
  if (number > 1) {
    auto const newest = at(of.directory + '/' + columns_name(number - 1));
    auto file = state::open_file(code, newest, O_RDONLY);
    if (!file) return fail(std::move(file));
    auto content = state::read_all(code, *file, newest);
    if (!content) return fail(std::move(content));
    same = *content == text;
  }
  of.columns = of.directory + '/' + columns_name(same ? number - 1 : number);
  if (!same) {
    if (auto saved = state::replace_file(code, at(of.columns), text); !saved) return saved;
  }
  of.columns_text = std::move(text);
  return result<void>();
}

result<void> segment_store::write(model::batch const& batch) {
  for (auto const& step : batch.steps) {
    auto const* const rows = std::get_if<model::table_rows>(&step);
    if (rows == nullptr) {
      if (auto done = truncate(std::get<model::truncation>(step)); !done) return done;
      continue;
    }
    auto const known = tables_by_oid_.find(rows->table->oid);
    if (known == tables_by_oid_.end()) {
      return error{severity::bug, "destination.unknown_table", "rows of a table that the destination was not told of"};
    }
    if (auto appended = append(*known->second, *rows); !appended) return appended;
  }
  documents_.insert(documents_.end(), batch.documents.begin(), batch.documents.end());
  accepted_ = std::max(accepted_, batch.last);
  return result<void>();
}

result<void> segment_store::append(table& to, model::table_rows const& rows) {
  if (rows.rows.empty()) return result<void>();
  if (to.open == nullptr) {
    auto opened = open_segment(to);
    if (!opened) return fail(std::move(opened));
    to.open = *opened;
    to.open->first = rows.first;
  } else {
    open_.splice(open_.begin(), open_, std::ranges::find(open_, &to));
  }
  auto& segment = *to.open;
  segment.rows += rows.rows.size();
  segment.bytes += rows.bytes.size();
  segment.last = rows.last;
  auto const bytes = rows.bytes.view();
  if (segment.piece.size() + bytes.size() < piece_size) {
    segment.piece.append(bytes);
  } else {
    if (auto packed = pack(segment, segment.piece.view()); !packed) return packed;
    segment.piece.clear();
    if (auto packed = pack(segment, bytes); !packed) return packed;
  }
  return segment.bytes >= options_.segment_bytes ? finish(to) : result<void>();
}

result<segment_store::segment*> segment_store::open_segment(table& of) {
  if (open_.size() >= most_open) {
    if (auto finished = finish(*open_.back()); !finished) return fail(std::move(finished));
  }
  auto path = fmt::format("{}/{}/{}", options_.path, incoming_directory, segments_made_++);
  auto file = state::open_file(code, path, O_WRONLY | O_CREAT | O_EXCL);
  if (!file) return fail(std::move(file));
  auto made = std::make_unique<segment>(segment{&of, std::move(path), of.columns, std::move(*file), {}});
  auto* const opened = made.get();
  steps_.emplace_back(std::move(made));
  open_.push_front(&of);
  return opened;
}

result<void> segment_store::pack(segment& into, std::string_view bytes) {
  if (options_.compression == config::compression_method::none) {
    return state::write_all(code, into.file, bytes, into.incoming);
  }
  packed_.clear();
  if (auto packed = compressor_.pack(bytes, packed_); !packed) return packed;
  return state::write_all(code, into.file, packed_.view(), into.incoming);
}

// The table's open segment, if any, gets no more rows: all of them are on the disk on return.
result<void> segment_store::finish(table& of) {
  if (of.open == nullptr) return result<void>();
  auto& done = *std::exchange(of.open, nullptr);
  open_.remove(&of);
  if (auto packed = pack(done, done.piece.view()); !packed) return packed;
  done.piece = buffer();
  if (auto synced = state::sync_file(code, done.file, done.incoming); !synced) return synced;
  done.file = state::file_handle();
  return result<void>();
}

// What comes after it has to come after it in the manifest, too.
result<void> segment_store::truncate(model::truncation const& event) {
  for (auto const& truncated : event.tables) {
    auto const known = tables_by_oid_.find(truncated->oid);
    if (known == tables_by_oid_.end()) continue;
    if (auto finished = finish(*known->second); !finished) return finished;
  }
  steps_.emplace_back(event);
  return result<void>();
}

result<position> segment_store::flush() {
  if (steps_.empty() && documents_.empty() && accepted_ == manifest_->durable()) return accepted_;
  while (!open_.empty()) {
    if (auto finished = finish(*open_.back()); !finished) return fail(std::move(finished));
  }
  json::array lines;
  std::set<std::string> directories;
  for (auto const& step : steps_) {
    if (auto const* const truncated = std::get_if<model::truncation>(&step)) {
      json::array tables;
      for (auto const& one : truncated->tables) {
        tables.push_back(json::object{{"schema", one->schema}, {"table", one->name}});
      }
      lines.push_back(json::object{{"truncated", std::move(tables)}, {"at", truncated->at.to_text()}});
      continue;
    }
    auto const& done = *std::get<std::unique_ptr<segment>>(step);
    auto const file =
        fmt::format("{}/{}", done.of->directory, segment_name(done.first, done.last, options_.compression));
    if (int const number = rename_new(done.incoming, at(file)); number != 0) {
      auto failure = state::file_error(code, "renaming a segment to", at(file), number);
      if (number == EEXIST) failure.kind = severity::bug;
      return failure;
    }
    directories.insert(done.of->directory);
    lines.push_back(json::object{{"schema", done.of->schema},
                                 {"table", done.of->name},
                                 {"file", file},
                                 {"columns", done.columns},
                                 {"rows", done.rows},
                                 {"bytes", done.bytes},
                                 {"first", done.first.to_text()},
                                 {"last", done.last.to_text()}});
  }
  for (auto const& directory : directories) {
    if (auto synced = state::sync_directory(code, at(directory)); !synced) return fail(std::move(synced));
  }
  if (auto appended = manifest_->append(accepted_, std::move(lines), documents_); !appended)
    return fail(std::move(appended));
  with_rows_.merge(directories);
  steps_.clear();
  documents_.clear();
  return accepted_;
}

}  // namespace etl::destination::file
