#include "encode/arrow_batch.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string_view>
#include <utility>

namespace etl::encode {
namespace {

// Structures that another one points to. A reader may have moved some away, which shows in their `release`.
template <class Structure>
class owned_children {
 public:
  explicit owned_children(std::size_t count) : structures_(count), pointers_(count) {
    for (std::size_t i = 0; i < count; ++i) pointers_[i] = &structures_[i];
  }
  owned_children(owned_children&&) = delete;
  ~owned_children() {
    for (auto& one : structures_) {
      if (one.release != nullptr) one.release(&one);
    }
  }
  [[nodiscard]] Structure* at(std::size_t index) { return pointers_[index]; }
  [[nodiscard]] Structure** pointers() { return pointers_.empty() ? nullptr : pointers_.data(); }
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(pointers_.size()); }

 private:
  std::vector<Structure> structures_;
  std::vector<Structure*> pointers_;
};

// The interface's way to say "destroy": the structure is marked, and what it owns is deleted.
template <class Structure, class Owned>
void release(Structure* structure) {
  structure->release = nullptr;
  delete static_cast<Owned*>(structure->private_data);
}

// C data interface, "ArrowSchema.metadata": counts and lengths as native 32-bit integers.
std::string metadata_of(std::string_view extension) {
  if (extension.empty()) return {};
  std::string bytes;
  auto const number = [&](std::size_t value) {
    auto const narrow = static_cast<std::int32_t>(value);
    bytes.append(reinterpret_cast<char const*>(&narrow), sizeof(narrow));
  };
  auto const entry = [&](std::string_view key, std::string_view value) {
    number(key.size());
    bytes += key;
    number(value.size());
    bytes += value;
  };
  number(2);
  entry("ARROW:extension:name", extension);
  entry("ARROW:extension:metadata", "");
  return bytes;
}

struct owned_schema {
  std::string format;
  std::string name;
  std::string metadata;
  owned_children<ArrowSchema> children;
};

void export_field(arrow_field const& field, ArrowSchema* out) {
  arrow_field const item{"item", field.type.element_type(), {}};
  bool const is_list = field.type.what == arrow_type::kind::list;
  auto owned = std::unique_ptr<owned_schema>(
      new owned_schema{field.type.format(), field.name, metadata_of(field.type.extension()),
                       owned_children<ArrowSchema>(is_list ? 1 : field.children.size())});
  for (std::size_t i = 0; i < static_cast<std::size_t>(owned->children.size()); ++i) {
    export_field(is_list ? item : field.children[i], owned->children.at(i));
  }
  *out = {.format = owned->format.c_str(),
          .name = owned->name.c_str(),
          .metadata = owned->metadata.empty() ? nullptr : owned->metadata.data(),
          .flags = ARROW_FLAG_NULLABLE,
          .n_children = owned->children.size(),
          .children = owned->children.pointers(),
          .dictionary = nullptr,
          .release = release<ArrowSchema, owned_schema>,
          .private_data = owned.get()};
  static_cast<void>(owned.release());
}

struct owned_array {
  std::shared_ptr<arrow_batch const> batch;
  arrow_column::buffers memory;
  owned_children<ArrowArray> children;
};

void export_column(std::shared_ptr<arrow_batch const> const& batch, arrow_column const& column, ArrowArray* out) {
  auto owned = std::unique_ptr<owned_array>(
      new owned_array{batch, column.memory(), owned_children<ArrowArray>(column.children().size())});
  for (std::size_t i = 0; i < column.children().size(); ++i) {
    export_column(batch, column.children()[i], owned->children.at(i));
  }
  *out = {.length = column.rows(),
          .null_count = column.nulls(),
          .offset = 0,
          .n_buffers = owned->memory.count,
          .n_children = owned->children.size(),
          .buffers = owned->memory.at,
          .children = owned->children.pointers(),
          .dictionary = nullptr,
          .release = release<ArrowArray, owned_array>,
          .private_data = owned.get()};
  static_cast<void>(owned.release());
}

struct owned_stream {
  std::shared_ptr<arrow_batch const> batch;
  bool done = false;
};

owned_stream& owned(ArrowArrayStream* stream) { return *static_cast<owned_stream*>(stream->private_data); }

// No exception may leave for a reader written in C; all that can be thrown is the want of memory.
template <class Action>
int answer(Action action) {
  try {
    action();
    return 0;
  } catch (std::exception const&) {
    return ENOMEM;
  }
}

int get_schema(ArrowArrayStream* stream, ArrowSchema* out) {
  return answer([&] { export_field(*owned(stream).batch->schema, out); });
}

int get_next(ArrowArrayStream* stream, ArrowArray* out) {
  return answer([&] {
    auto& from = owned(stream);
    if (std::exchange(from.done, true)) {
      *out = {};
    } else {
      export_column(from.batch, from.batch->rows, out);
    }
  });
}

char const* get_last_error(ArrowArrayStream*) { return "out of memory"; }

}  // namespace

void export_stream(std::shared_ptr<arrow_batch const> batch, ArrowArrayStream* out) {
  *out = {.get_schema = get_schema,
          .get_next = get_next,
          .get_last_error = get_last_error,
          .release = release<ArrowArrayStream, owned_stream>,
          .private_data = new owned_stream{std::move(batch)}};
}

}  // namespace etl::encode
