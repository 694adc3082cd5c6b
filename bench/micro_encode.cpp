// Nanoseconds a row of the steps on the hot path, for a row of 8 columns and about 180 bytes. Prints one line a step:
// its name and the median of several rounds. Figures of one run compare with each other only.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "encode/copy_input.hpp"
#include "encode/copy_rows.hpp"
#include "encode/key.hpp"
#include "encode/ndjson.hpp"
#include "pgoutput/decoder.hpp"

namespace {

using namespace etl;

constexpr std::array<std::pair<char const*, std::uint32_t>, 8> columns{{{"id", 20},
                                                                        {"customer", 23},
                                                                        {"amount", 1700},
                                                                        {"paid", 16},
                                                                        {"created", 1184},
                                                                        {"status", 25},
                                                                        {"note", 25},
                                                                        {"extra", 3802}}};

std::vector<std::string> row_values(std::size_t id) {
  return {std::to_string(1'000'000 + id),
          std::to_string(id % 5000),
          fmt::format("{}.25", id % 1000),
          id % 2 == 0 ? "t" : "f",
          "2026-01-02 03:04:05.123456+00",
          "delivered",
          "Leave the parcel with the neighbours on the second floor, please.",
          R"({"source": "web", "items": 3})"};
}

std::string insert_message(std::vector<std::string> const& values) {
  auto const number = [](std::size_t value, int bytes) {
    std::string text;
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
    return text;
  };
  auto message = "I" + number(16384, 4) + "N" + number(values.size(), 2);
  for (auto const& v : values) message += "t" + number(v.size(), 4) + v;
  return message;
}

void measure(char const* name, std::size_t rows, std::function<void()> const& step) {
  std::vector<double> rounds;
  for (int i = 0; i < 21; ++i) {
    auto const start = std::chrono::steady_clock::now();
    step();
    std::chrono::duration<double, std::nano> const took = std::chrono::steady_clock::now() - start;
    rounds.push_back(took.count() / static_cast<double>(rows));
  }
  std::nth_element(rounds.begin(), rounds.begin() + 10, rounds.end());
  fmt::print("{:<28} {:7.1f} ns/row\n", name, rounds[10]);
}

}  // namespace

int main() {
  constexpr std::size_t count = 10'000;
  auto table = std::make_shared<model::relation>();
  table->schema = "public";
  table->name = "orders";
  for (auto const& [name, type] : columns)
    table->columns.push_back({.name = name, .type_oid = type, .base_type_oid = type});
  table->key = {0};

  std::vector<std::string> messages;
  std::vector<std::string> lines;
  for (std::size_t id = 0; id < count; ++id) {
    auto const values = row_values(id);
    messages.push_back(insert_message(values));
    auto& line = lines.emplace_back();
    for (auto const& v : values) line += (line.empty() ? "" : "\t") + v;
    line += '\n';
  }

  pgoutput::decoder decoder;
  pgoutput::message decoded;
  encode::ndjson_encoder ndjson(table, {});
  encode::copy_input input(false);
  std::vector<pgoutput::value> values;
  buffer out;
  std::uint64_t checksum = 0;
  bool failed = false;

  auto const each_insert = [&](auto const& use) {
    out.clear();
    std::uint64_t ordinal = 0;
    for (auto const& message : messages) {
      failed |= decoder.decode(message, decoded).has_value();
      use(std::get<pgoutput::insert>(decoded).new_row, ordinal++);
    }
  };
  measure("decode", count, [&] { each_insert([&](auto row, auto) { checksum += row[7].data.size(); }); });
  measure("decode + hash of the key", count,
          [&] { each_insert([&](auto row, auto) { checksum += encode::hash_key(row, table->key).low; }); });
  measure("decode + NDJSON", count, [&] {
    each_insert([&](auto row, auto ordinal) {
      failed |= !ndjson.encode(out, model::operation::insert, {lsn{1}, ordinal}, 820540800000000, {}, row);
    });
  });
  measure("decode + COPY tuple", count, [&] {
    each_insert(
        [&](auto row, auto) { failed |= !encode::encode_copy_row(out, *table, model::operation::insert, {}, row); });
  });
  measure("COPY text taken apart", count, [&] {
    for (auto const& line : lines) {
      failed |= !input.split(line, values);
      checksum += values.size();
    }
  });
  measure("COPY text to NDJSON", count, [&] {
    out.clear();
    for (auto const& line : lines) {
      failed |= !input.split(line, values) || !ndjson.encode(out, model::operation::copy, {}, 0, {}, values);
    }
  });
  fmt::print("checksum {}\n", checksum);
  return failed ? 1 : 0;
}
