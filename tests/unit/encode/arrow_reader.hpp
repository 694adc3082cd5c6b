#pragma once

#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "encode/arrow_batch.hpp"

// Reads what export_stream() hands over as any reader would: by the specification's words alone.
namespace etl {

class arrow_reader {
 public:
  explicit arrow_reader(std::shared_ptr<encode::arrow_batch const> batch) {
    encode::export_stream(std::move(batch), &stream_);
    if (stream_.get_schema(&stream_, &schema_) != 0 || stream_.get_next(&stream_, &rows_) != 0) throw std::bad_alloc();
    ArrowArray end{};
    end.release = [](ArrowArray*) {};
    ended_ = stream_.get_next(&stream_, &end) == 0 && end.release == nullptr;
    stream_.release(&stream_);
  }
  arrow_reader(arrow_reader&&) = delete;
  ~arrow_reader() {
    rows_.release(&rows_);
    schema_.release(&schema_);
  }

  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] ArrowSchema const& schema() const { return schema_; }
  [[nodiscard]] ArrowArray const& rows() const { return rows_; }
  [[nodiscard]] std::string cell(std::int64_t column, std::int64_t row) const {
    return text(*schema_.children[column], *rows_.children[column], row);
  }

 private:
  template <class Value>
  static Value read(ArrowArray const& array, std::int64_t at, int buffer = 1) {
    Value value;
    std::memcpy(&value, static_cast<char const*>(array.buffers[buffer]) + at * static_cast<std::int64_t>(sizeof(Value)),
                sizeof(Value));
    return value;
  }
  static bool bit(void const* bits, std::int64_t at) {
    return (static_cast<unsigned char const*>(bits)[at / 8] >> (at % 8) & 1) != 0;
  }

  static std::string text(ArrowSchema const& schema, ArrowArray const& array, std::int64_t row) {
    if (array.buffers[0] != nullptr && !bit(array.buffers[0], row)) return "null";
    std::string_view const format = schema.format;
    if (format == "b") return bit(array.buffers[1], row) ? "true" : "false";
    if (format == "s") return fmt::format("{}", read<std::int16_t>(array, row));
    if (format == "i" || format == "tdD") return fmt::format("{}", read<std::int32_t>(array, row));
    if (format == "I") return fmt::format("{}", read<std::uint32_t>(array, row));
    if (format == "l" || format == "ttu" || format.starts_with("tsu:")) {
      return fmt::format("{}", read<std::int64_t>(array, row));
    }
    if (format == "f") return fmt::format("{}", read<float>(array, row));
    if (format == "g") return fmt::format("{}", read<double>(array, row));
    if (format.starts_with("d:")) return fmt::format("{}", read<__int128>(array, row));
    if (format == "w:16") {
      std::string hex;
      for (int i = 0; i < 16; ++i) hex += fmt::format("{:02x}", read<unsigned char>(array, row * 16 + i));
      return hex;
    }
    if (format == "tin") {
      return fmt::format("{} {} {}", read<std::int32_t>(array, row * 4), read<std::int32_t>(array, row * 4 + 1),
                         read<std::int64_t>(array, row * 2 + 1));
    }
    if (format == "U" || format == "Z") {
      auto const from = read<std::int64_t>(array, row);
      return {static_cast<char const*>(array.buffers[2]) + from,
              static_cast<std::size_t>(read<std::int64_t>(array, row + 1) - from)};
    }
    std::string all;
    auto const add = [&](ArrowSchema const& child, ArrowArray const& values, std::int64_t at) {
      all += all.empty() ? "" : ",";
      all += text(child, values, at);
    };
    if (format == "+l") {
      for (auto at = read<std::int32_t>(array, row); at < read<std::int32_t>(array, row + 1); ++at) {
        add(*schema.children[0], *array.children[0], at);
      }
      return "[" + all + "]";
    }
    for (std::int64_t i = 0; i < schema.n_children; ++i) add(*schema.children[i], *array.children[i], row);
    return "{" + all + "}";
  }

  ArrowArrayStream stream_;
  ArrowSchema schema_;
  ArrowArray rows_;
  bool ended_ = false;
};

}  // namespace etl
