#pragma once

#include <zlib.h>
#include <zstd.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/batch.hpp"
#include "support/show_result.hpp"
#include "support/temporary_directory.hpp"

// Batches of made-up rows, and a reader of the file destination as its README describes one.
namespace etl::test {

inline model::relation_ptr make_table(std::uint32_t oid, std::string schema, std::string name,
                                      std::vector<std::string> columns = {"id"}) {
  auto made = std::make_shared<model::relation>();
  made->oid = oid;
  made->schema = std::move(schema);
  made->name = std::move(name);
  for (auto& column : columns) {
    made->columns.push_back({.name = std::move(column), .type_name = "integer", .base_type_name = "integer"});
  }
  made->key = {0};
  return made;
}

// Row n is {"n":<n>}, at the position n/<ordinal n>.
inline position at(std::uint64_t n) { return {lsn{n}, n}; }

inline model::table_rows make_rows(model::relation_ptr table, std::uint64_t first, std::uint64_t last) {
  model::table_rows rows{.table = std::move(table), .first = at(first), .last = at(last)};
  for (auto n = first; n <= last; ++n) {
    auto const line = "{\"n\":" + std::to_string(n) + "}\n";
    rows.bytes.append(line);
    rows.rows.push_back({static_cast<std::uint32_t>(line.size())});
  }
  return rows;
}

inline model::batch make_batch(std::vector<model::document> documents = {}) {
  model::batch made;
  made.documents = std::move(documents);
  return made;
}

inline void add(model::batch& to, model::table_rows rows) {
  to.rows += rows.rows.size();
  to.bytes += rows.bytes.size();
  to.last = std::max(to.last, rows.last);
  to.steps.emplace_back(std::move(rows));
}

inline void add_truncation(model::batch& to, std::vector<model::relation_ptr> tables, std::uint64_t n) {
  to.last = std::max(to.last, at(n));
  to.steps.emplace_back(model::truncation{.tables = std::move(tables), .at = at(n)});
}

inline std::string unpack_gzip(std::string const& packed) {
  std::string plain;
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  while (stream.avail_in > 0) {
    char block[65536];
    stream.next_out = reinterpret_cast<Bytef*>(block);
    stream.avail_out = sizeof block;
    int const code = inflate(&stream, Z_NO_FLUSH);
    REQUIRE((code == Z_OK || code == Z_STREAM_END));
    plain.append(block, sizeof block - stream.avail_out);
    if (code == Z_STREAM_END) inflateReset(&stream);
  }
  inflateEnd(&stream);
  return plain;
}

inline std::string unpack_zstd(std::string const& packed) {
  std::string plain;
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> const context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  while (in.pos < in.size) {
    char block[65536];
    ZSTD_outBuffer out{block, sizeof block, 0};
    REQUIRE(ZSTD_isError(ZSTD_decompressStream(context.get(), &out, &in)) == 0);
    plain.append(block, out.pos);
  }
  return plain;
}

inline std::string unpack(std::string const& path) {
  auto content = content_of(path);
  if (path.ends_with(".gz")) return unpack_gzip(content);
  if (path.ends_with(".zst")) return unpack_zstd(content);
  return content;
}

inline std::vector<boost::json::value> manifest_lines(std::string const& store) {
  std::vector<boost::json::value> lines;
  auto content = content_of(store + "/manifest.ndjson");
  for (std::size_t start = 0;;) {
    auto const end = content.find('\n', start);
    if (end == std::string::npos) return lines;
    lines.push_back(boost::json::parse(content.substr(start, end - start)));
    start = end + 1;
  }
}

// Every row version in the manifest's order, as "public.t 3", and each TRUNCATE, as "truncate public.t".
inline std::vector<std::string> read_store(std::string const& store) {
  std::vector<std::string> history;
  for (auto const& line : manifest_lines(store)) {
    for (auto const& each : line.at("steps").as_array()) {
      auto const& step = each.as_object();
      auto const text = [](boost::json::object const& in, char const* key) {
        return std::string(in.at(key).as_string());
      };
      if (auto const* const truncated = step.if_contains("truncated")) {
        for (auto const& table : truncated->as_array()) {
          history.push_back("truncate " + text(table.as_object(), "schema") + '.' + text(table.as_object(), "table"));
        }
        continue;
      }
      auto const rows = unpack(store + '/' + text(step, "file"));
      CHECK(rows.size() == step.at("bytes").to_number<std::size_t>());
      CHECK_FALSE(content_of(store + '/' + text(step, "columns")).empty());
      std::size_t count = 0;
      for (std::size_t start = 0; start < rows.size(); ++count) {
        auto const end = rows.find('\n', start);
        REQUIRE(end != std::string::npos);
        auto const row = boost::json::parse(rows.substr(start, end - start));
        history.push_back(text(step, "schema") + '.' + text(step, "table") + ' ' +
                          std::to_string(row.at("n").to_number<std::uint64_t>()));
        start = end + 1;
      }
      CHECK(count == step.at("rows").to_number<std::size_t>());
    }
  }
  return history;
}

}  // namespace etl::test
