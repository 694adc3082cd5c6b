#include "encode/arrow_column.hpp"

#include <cstring>
#include <limits>
#include <optional>

#include "encode/block.hpp"
#include "encode/json_text.hpp"
#include "encode/text_values.hpp"

namespace etl::encode {
namespace {

using kind = arrow_type::kind;

bool is_ascii(std::string_view text) {
  auto const* at = text.data();
  auto left = text.size();
  for (; left >= block::size; at += block::size, left -= block::size) {
    if (block(at).high()) return false;
  }
  for (; left != 0; ++at, --left) {
    if ((*at & 0x80) != 0) return false;
  }
  return true;
}

void push_bit(buffer& bits, std::int64_t index, bool set) {
  if (index % 8 == 0) bits.push_back(0);
  auto const value = static_cast<unsigned>(set) << (index % 8);
  bits.data()[index / 8] = static_cast<char>(static_cast<unsigned char>(bits.data()[index / 8]) | value);
}

// The bits before `count`; those behind are to be set anew.
void truncate_bits(buffer& bits, std::int64_t count) {
  bits.truncate(static_cast<std::size_t>((count + 7) / 8));
  if (count % 8 != 0) {
    auto& last = bits.data()[count / 8];
    last = static_cast<char>(static_cast<unsigned char>(last) & ((1u << (count % 8)) - 1));
  }
}

std::size_t width_of(kind what) {
  switch (what) {
    case kind::int16:
      return 2;
    case kind::int32:
    case kind::uint32:
    case kind::float32:
    case kind::date:
      return 4;
    case kind::int64:
    case kind::float64:
    case kind::time:
    case kind::local:
    case kind::instant:
      return 8;
    case kind::decimal:
    case kind::interval:
    case kind::uuid:
      return 16;
    case kind::boolean:
    case kind::text:
    case kind::json:
    case kind::binary:
    case kind::list:
    case kind::record:
      break;
  }
  return 0;
}

// The extremes that stand for infinity (arrow_column.hpp).
template <class Number>
std::optional<Number> extreme(infinities policy, std::string_view text) {
  if (policy == infinities::refused) return std::nullopt;
  switch (infinity_in(text)) {
    case infinity::none:
      return std::nullopt;
    case infinity::positive:
      return std::numeric_limits<Number>::max();
    case infinity::negative:
      return -std::numeric_limits<Number>::max();
  }
  return std::nullopt;
}

}  // namespace

struct append_functions {
  template <class Value>
  static unfit put(arrow_column& to, std::optional<Value> const& value) {
    if (!value) return unfit::value;
    to.push(*value);
    to.mark(true);
    return unfit::no;
  }

  static unfit boolean(arrow_column& to, std::string_view text) {
    if (text != "t" && text != "f") return unfit::value;
    push_bit(to.values_, to.rows_, text == "t");
    to.mark(true);
    return unfit::no;
  }
  template <class Integer>
  static unfit integer(arrow_column& to, std::string_view text) {
    return put(to, parse_integer<Integer>(text));
  }
  template <class Float>
  static unfit floating(arrow_column& to, std::string_view text) {
    return put(to, parse_float<Float>(text));
  }
  static unfit decimal(arrow_column& to, std::string_view text) {
    auto const value = parse_decimal(text, to.type_.precision, to.type_.scale);
    if (!value) return unfit::value;
    // In two halves: the buffer is aligned to eight bytes only.
    to.push(static_cast<std::uint64_t>(*value));
    to.push(static_cast<std::uint64_t>(*value >> 64));
    to.mark(true);
    return unfit::no;
  }
  static unfit text(arrow_column& to, std::string_view text) {
    if (!is_ascii(text) && !valid_utf8(text)) return unfit::encoding;
    to.append_text(text);
    return unfit::no;
  }
  static unfit binary(arrow_column& to, std::string_view text) {
    auto const size = bytea_size(text);
    if (!size || !parse_bytea(text, to.values_.reserve(*size))) return unfit::value;
    to.values_.commit(*size);
    to.mark(true);
    to.push_offset(static_cast<std::int64_t>(to.values_.size()));
    return unfit::no;
  }
  static unfit date(arrow_column& to, std::string_view text) {
    if (auto const infinite = extreme<std::int32_t>(to.infinite_, text)) return put(to, infinite);
    return put(to, parse_date(text));
  }
  static unfit time(arrow_column& to, std::string_view text) { return put(to, parse_time(text)); }
  static unfit timestamp(arrow_column& to, std::string_view text) {
    if (auto const infinite = extreme<std::int64_t>(to.infinite_, text)) return put(to, infinite);
    return put(to, parse_timestamp(text));
  }
  static unfit interval(arrow_column& to, std::string_view text) {
    struct month_day_nano {
      std::int32_t months;
      std::int32_t days;
      std::int64_t nanoseconds;
    };
    auto const parsed = parse_interval(text);
    if (!parsed) return unfit::value;
    month_day_nano value{parsed->months, parsed->days, 0};
    if (__builtin_mul_overflow(parsed->microseconds, std::int64_t{1000}, &value.nanoseconds)) return unfit::value;
    to.push(value);
    to.mark(true);
    return unfit::no;
  }
  static unfit uuid(arrow_column& to, std::string_view text) { return put(to, parse_uuid(text)); }
  static unfit list(arrow_column& to, std::string_view text);
  static unfit elements(arrow_column& to, std::string_view text);
  // Records get their values through their children.
  static unfit record(arrow_column&, std::string_view) { return unfit::value; }

  static arrow_column::append_function of(kind what) {
    switch (what) {
      case kind::boolean:
        return boolean;
      case kind::int16:
        return integer<std::int16_t>;
      case kind::int32:
        return integer<std::int32_t>;
      case kind::int64:
        return integer<std::int64_t>;
      case kind::uint32:
        return integer<std::uint32_t>;
      case kind::float32:
        return floating<float>;
      case kind::float64:
        return floating<double>;
      case kind::decimal:
        return decimal;
      case kind::text:
      case kind::json:
        return text;
      case kind::binary:
        return binary;
      case kind::date:
        return date;
      case kind::time:
        return time;
      case kind::local:
      case kind::instant:
        return timestamp;
      case kind::interval:
        return interval;
      case kind::uuid:
        return uuid;
      case kind::list:
        return list;
      case kind::record:
        return record;
    }
    return nullptr;
  }
};

// PostgreSQL manual, "Array Input and Output Syntax": elements are quoted where they hold anything that could be taken
// for syntax, or look like NULL. Dimensions are written in front when an index does not start at 1.
unfit append_functions::elements(arrow_column& to, std::string_view text) {
  if (text.starts_with('[')) return unfit::nested;
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') return unfit::value;
  auto& elements = to.children_.front();
  auto rest = text.substr(1, text.size() - 2);
  while (!rest.empty()) {
    unfit done = unfit::no;
    if (rest.front() == '{') return unfit::nested;
    if (rest.front() == '"') {
      to.scratch_.clear();
      char* const unescaped = to.scratch_.reserve(rest.size());
      std::size_t size = 0;
      std::size_t at = 1;
      for (; at < rest.size() && rest[at] != '"'; ++at) {
        if (rest[at] == '\\' && ++at == rest.size()) return unfit::value;
        unescaped[size++] = rest[at];
      }
      if (at == rest.size()) return unfit::value;
      done = elements.append({unescaped, size});
      rest.remove_prefix(at + 1);
    } else {
      auto const element = rest.substr(0, rest.find(','));
      if (element == "NULL") {
        elements.append_null();
      } else {
        done = elements.append(element);
      }
      rest.remove_prefix(element.size());
    }
    if (done != unfit::no) return done;
    if (rest.empty()) break;
    if (rest.front() != ',' || rest.size() == 1) return unfit::value;
    rest.remove_prefix(1);
  }
  return unfit::no;
}

unfit append_functions::list(arrow_column& to, std::string_view text) {
  auto const before = to.children_.front().rows_;
  auto const done = elements(to, text);
  if (done == unfit::no) {
    to.end_list();
  } else {
    to.children_.front().drop_from(before);
  }
  return done;
}

arrow_column::arrow_column(arrow_type type, infinities infinite)
    : type_(type), infinite_(infinite), append_(append_functions::of(type.what)), width_(width_of(type.what)) {
  static_cast<void>(values_.reserve(sizeof(std::int64_t)));  // no buffer may be a null pointer
  if (type.what == kind::list) {
    children_.emplace_back(type.element_type(), infinite);
    std::int32_t const none = 0;
    offsets_.append({reinterpret_cast<char const*>(&none), sizeof(none)});
  } else if (width_ == 0 && type.what != kind::boolean) {
    push_offset(0);
  }
}

arrow_column::arrow_column(std::vector<arrow_column> children)
    : type_{kind::record}, append_(append_functions::of(kind::record)), children_(std::move(children)) {}

void arrow_column::mark(bool present) {
  push_bit(validity_, rows_, present);
  ++rows_;
  nulls_ += present ? 0 : 1;
}

void arrow_column::push_zeros(std::size_t size) {
  std::memset(values_.reserve(size), 0, size);
  values_.commit(size);
}

void arrow_column::drop_from(std::int64_t rows) {
  for (auto row = rows; row < rows_; ++row) {
    bool const present = (static_cast<unsigned char>(validity_.data()[row / 8]) >> (row % 8) & 1u) != 0;
    nulls_ -= present ? 0 : 1;
  }
  rows_ = rows;
  truncate_bits(validity_, rows);
  auto const count = static_cast<std::size_t>(rows);
  if (type_.what == kind::boolean) {
    truncate_bits(values_, rows);
  } else if (width_ != 0) {
    values_.truncate(count * width_);
  } else {
    std::int64_t end = 0;
    std::memcpy(&end, offsets_.data() + count * sizeof(end), sizeof(end));
    offsets_.truncate((count + 1) * sizeof(end));
    values_.truncate(static_cast<std::size_t>(end));
  }
}

void arrow_column::push_offset(std::int64_t offset) {
  offsets_.append({reinterpret_cast<char const*>(&offset), sizeof(offset)});
}

void arrow_column::append_null() {
  switch (type_.what) {
    case kind::boolean:
      push_bit(values_, rows_, false);
      break;
    case kind::text:
    case kind::json:
    case kind::binary:
      push_offset(static_cast<std::int64_t>(values_.size()));
      break;
    case kind::list: {
      auto const end = static_cast<std::int32_t>(children_.front().rows_);
      offsets_.append({reinterpret_cast<char const*>(&end), sizeof(end)});
      break;
    }
    case kind::record:
      for (auto& child : children_) child.append_null();
      break;
    default:
      push_zeros(width_);
  }
  mark(false);
}

void arrow_column::append_text(std::string_view valid_utf8) {
  values_.append(valid_utf8);
  push_offset(static_cast<std::int64_t>(values_.size()));
  mark(true);
}

void arrow_column::append_number(std::int64_t number) {
  push(number);
  mark(true);
}

void arrow_column::end_list() {
  auto const end = static_cast<std::int32_t>(children_.front().rows_);
  offsets_.append({reinterpret_cast<char const*>(&end), sizeof(end)});
  mark(true);
}

arrow_column::buffers arrow_column::memory() const {
  void const* const validity = nulls_ == 0 ? nullptr : validity_.data();
  switch (type_.what) {
    case kind::record:
      return {{validity, nullptr, nullptr}, 1};
    case kind::list:
      return {{validity, offsets_.data(), nullptr}, 2};
    case kind::text:
    case kind::json:
    case kind::binary:
      return {{validity, offsets_.data(), values_.data()}, 3};
    default:
      return {{validity, values_.data(), nullptr}, 2};
  }
}

}  // namespace etl::encode
