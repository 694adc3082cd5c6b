#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>

#include "base/lsn.hpp"
#include "encode/arrow_batch.hpp"
#include "model/batch.hpp"
#include "model/relation.hpp"

// What a module gets to see. Python thread.
namespace etl::destination::python_module {

namespace py = pybind11;

// A table and its columns, as the dict that README.md describes.
[[nodiscard]] py::dict describe(model::relation const& table);
// An etl_stream.ArrowBatch of the rows, or an NdjsonBatch where `encoded` is empty. Copies nothing of the former.
[[nodiscard]] py::object make_batch(model::table_rows const& rows, std::shared_ptr<encode::arrow_batch const> encoded);
// None and an empty text are no position. Nothing: it is neither of them.
[[nodiscard]] std::optional<position> to_position(py::handle text);

}  // namespace etl::destination::python_module
