#include "destination/file/names.hpp"

#include <fmt/format.h>

namespace etl::destination::file {
namespace {

void append_encoded(std::string& out, std::string_view name) {
  for (char const c : name) {
    auto const byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || std::string_view("./\\%").find(c) != std::string_view::npos) {
      out += fmt::format("%{:02X}", byte);
    } else {
      out += c;
    }
  }
}

std::string_view suffix(config::compression_method compression) {
  switch (compression) {
    case config::compression_method::none:
      return "";
    case config::compression_method::gzip:
      return ".gz";
    case config::compression_method::zstd:
      return ".zst";
  }
  return "";
}

}  // namespace

std::string directory_name(std::string_view schema, std::string_view table) {
  std::string name;
  append_encoded(name, schema);
  name += '.';
  append_encoded(name, table);
  return name;
}

std::string segment_name(position first, position last, config::compression_method compression) {
  return fmt::format("{}-{}.ndjson{}", first.to_text(), last.to_text(), suffix(compression));
}

std::optional<position> segment_start(std::string_view name) {
  constexpr auto size = position::text_size;
  if (name.size() <= 2 * size || name[size] != '-' || !position::parse(name.substr(size + 1, size)))
    return std::nullopt;
  auto const rest = name.substr(2 * size + 1);
  if (rest != ".ndjson" && rest != ".ndjson.gz" && rest != ".ndjson.zst") return std::nullopt;
  return position::parse(name.substr(0, size));
}

std::string columns_name(unsigned number) { return fmt::format("schema-{}.json", number); }

}  // namespace etl::destination::file
