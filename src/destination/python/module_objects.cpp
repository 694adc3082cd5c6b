#include "destination/python/module_objects.hpp"

#include <string>
#include <string_view>

#include "encode/arrow_abi.hpp"
#include "encode/arrow_type.hpp"

namespace etl::destination::python_module {
namespace {

// The Arrow PyCapsule interface: the name, and a destructor that releases what no reader took over.
constexpr char const* stream_capsule = "arrow_array_stream";

void destroy_stream(PyObject* capsule) {
  auto* const stream = static_cast<ArrowArrayStream*>(PyCapsule_GetPointer(capsule, stream_capsule));
  if (stream == nullptr) return;
  if (stream->release != nullptr) stream->release(stream);
  delete stream;
}

py::object export_capsule(std::shared_ptr<encode::arrow_batch const> const& batch) {
  auto stream = std::make_unique<ArrowArrayStream>();
  encode::export_stream(batch, stream.get());
  auto capsule = py::reinterpret_steal<py::object>(PyCapsule_New(stream.get(), stream_capsule, destroy_stream));
  if (!capsule) {
    stream->release(stream.get());
    throw py::error_already_set();
  }
  (void)stream.release();
  return capsule;
}

}  // namespace

py::dict describe(model::relation const& table) {
  py::list columns;
  for (auto const& column : table.columns) {
    py::dict one;
    one["name"] = column.name;
    one["type"] = column.type_name;
    one["arrow"] = encode::arrow_type_of(column).to_text();
    one["attnum"] = column.attribute_number;
    one["not_null"] = column.not_null;
    one["key"] = column.key;
    columns.append(one);
  }
  py::list key;
  for (auto const number : table.key) key.append(table.columns[number].name);
  py::dict described;
  described["oid"] = table.oid;
  described["schema"] = table.schema;
  described["name"] = table.name;
  described["columns"] = columns;
  described["key"] = key;
  return described;
}

py::object make_batch(model::table_rows const& rows, std::shared_ptr<encode::arrow_batch const> encoded) {
  auto const offered = py::module_::import("etl_stream");
  auto const make = [&](char const* kind, py::object content) {
    return offered.attr(kind)(content, rows.rows.size(), rows.first.to_text(), rows.last.to_text(), rows.only_new,
                              rows.copied, rows.copying);
  };
  if (!encoded) return make("NdjsonBatch", py::bytes(rows.bytes.data(), rows.bytes.size()));
  return make("ArrowBatch", py::cpp_function([encoded] { return export_capsule(encoded); }));
}

std::optional<position> to_position(py::handle text) {
  if (text.is_none()) return position{};
  if (!py::isinstance<py::str>(text)) return std::nullopt;
  auto const spelled = py::cast<std::string>(text);
  return spelled.empty() ? position{} : position::parse(spelled);
}

}  // namespace etl::destination::python_module
