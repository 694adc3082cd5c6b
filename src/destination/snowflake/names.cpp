#include "destination/snowflake/names.hpp"

#include <fmt/format.h>

#include "encode/json_text.hpp"

namespace etl::destination::snowflake {
namespace {

std::string joined(std::string_view database, std::string_view schema, std::string_view name) {
  return model::quote_identifier(database) + '.' + model::quote_identifier(schema) + '.' +
         model::quote_identifier(name);
}

std::string for_channel(std::string_view text) {
  std::string safe;
  for (char const c : text) {
    bool const plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    safe += plain ? std::string(1, c) : fmt::format("-{:02X}", static_cast<unsigned char>(c));
  }
  return safe;
}

}  // namespace

std::string upper_case(std::string_view text) {
  std::string folded(text);
  for (char& c : folded) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return folded;
}

std::size_t position_offset(metadata_names const& names) { return 1 + encode::quote_json(names.position).size() + 2; }

std::string identifier(std::string_view written) {
  if (written.size() < 2 || written.front() != '"' || written.back() != '"') return upper_case(written);
  std::string exact;
  for (std::size_t i = 1; i + 1 < written.size(); ++i) {
    exact += written[i];
    if (written[i] == '"' && written[i + 1] == '"') ++i;
  }
  return exact;
}

table_names::table_names(layout const& all, model::relation const& table)
    : database_(all.database),
      schema_(all.schema),
      landing_schema_(all.landing_schema_in_use()),
      target_(table.schema == "public" ? table.name : table.schema + "__" + table.name),
      landing_(all.apply == config::apply_mode::append ? target_ : all.pipeline + "__" + target_),
      upper_(all.names == config::name_case::upper) {
  if (upper_) {
    target_ = upper_case(target_);
    landing_ = upper_case(landing_);
  }
}

std::string table_names::quoted_target() const { return joined(database_, schema_, target_); }
std::string table_names::quoted_landing() const { return joined(database_, landing_schema_, landing_); }
std::string table_names::quoted_stream() const { return joined(database_, landing_schema_, landing_ + "__stream"); }
std::string table_names::quoted_task() const { return joined(database_, landing_schema_, landing_ + "__task"); }

std::string table_names::column(std::string_view source) const {
  return model::quote_identifier(upper_ ? upper_case(source) : std::string(source));
}

std::string channel_name(std::string_view pipeline, model::relation const& table, unsigned lane, unsigned lanes) {
  return fmt::format("{}.{}.{}.{}of{}", for_channel(pipeline), for_channel(table.schema), for_channel(table.name), lane,
                     lanes);
}

}  // namespace etl::destination::snowflake
