#include <cstdint>
#include <string_view>

#include "pgoutput/decoder.hpp"

// The first byte says whether the message stands inside a streamed block; the rest is the message. What was decoded is
// read to its last byte, so that the sanitizer sees a view that points elsewhere.
namespace {

volatile std::uint64_t sink;

void read(std::string_view bytes) {
  std::uint64_t sum = 0;
  for (auto const byte : bytes) sum += static_cast<unsigned char>(byte);
  sink = sink + sum;
}
void read(pgoutput::tuple row) {
  for (auto const& v : row) read(v.data);
}

struct reader {
  void operator()(pgoutput::origin const& m) const { read(m.name); }
  void operator()(pgoutput::relation const& m) const {
    read(m.schema);
    read(m.name);
    for (auto const& column : m.columns) read(column.name);
  }
  void operator()(pgoutput::type const& m) const {
    read(m.schema);
    read(m.name);
  }
  void operator()(pgoutput::insert const& m) const { read(m.new_row); }
  void operator()(pgoutput::update const& m) const {
    read(m.old_values);
    read(m.new_row);
  }
  void operator()(pgoutput::remove const& m) const { read(m.old_values); }
  void operator()(pgoutput::truncate const& m) const {
    for (auto const oid : m.oids) sink = sink + oid;
  }
  void operator()(pgoutput::logical_message const& m) const {
    read(m.prefix);
    read(m.content);
  }
  template <class Prepared>
    requires requires(Prepared const& m) { m.gid; }
  void operator()(Prepared const& m) const {
    read(m.gid);
  }
  template <class Fixed>
    requires(!requires(Fixed const& m) { m.gid; })
  void operator()(Fixed const&) const {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view const bytes(reinterpret_cast<char const*>(data), size);
  pgoutput::decoder decoder;
  pgoutput::message out;
  if ((bytes.front() & 1) != 0 && decoder.decode(std::string_view("S\0\0\2\275\1", 6), out)) __builtin_trap();
  if (auto const failure = decoder.decode(bytes.substr(1), out)) {
    if (failure->offset > size - 1) __builtin_trap();
    return 0;
  }
  std::visit(reader{}, out);
  return 0;
}
