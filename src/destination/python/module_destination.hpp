#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "config/pipeline_config.hpp"
#include "destination/destination.hpp"
#include "destination/python/deliveries.hpp"
#include "encode/arrow_rows.hpp"
#include "python/interpreter.hpp"

namespace etl::destination {

struct module_options {
  python::interpreter* python = nullptr;  // outlives the destination
  // A user's module: the absolute path of a .py file, or a dotted name. With `source`, which outlives the destination,
  // that text is run under this name.
  std::string module;
  std::string_view source;
  // What open() gets, as a dict of texts; `settings` as a dict of its own in it.
  std::map<std::string, std::string> config;
  std::map<std::string, config::secret> settings;
  config::batch_format format = config::batch_format::arrow;
  encode::arrow_options arrow;
  // What the module's methods decide is filled in by open(): see below.
  capabilities can;
  std::chrono::milliseconds call_limit = std::chrono::minutes(5);
  std::chrono::milliseconds close_limit = std::chrono::milliseconds(500);  // part of how long a stop may take
};

// A destination written in Python: README.md describes what its module offers. One that can recover() keeps the
// position of everything it has, and the documents, in one transaction with the rows; another knows a position for each
// table, or none, and may make any batch durable by itself.
//
// Rows are encoded here, on the pipeline's home core; the interpreter gets finished buffers. Errors are those of
// python::interpreter::run, and `python.protocol` (config) for a module that does not keep to what was agreed.
class module_destination final : public destination {
 public:
  explicit module_destination(module_options options);
  ~module_destination() override;

  [[nodiscard]] capabilities const& what_it_can() const override { return options_.can; }
  [[nodiscard]] encoding wants() const override {
    return options_.format == config::batch_format::arrow ? encoding::copy_text : encoding::ndjson;
  }
  asio::awaitable<result<recovered>> open() override;
  asio::awaitable<result<table_state>> ensure_table(table_change change) override;
  asio::awaitable<result<void>> write(model::batch& batch) override;
  asio::awaitable<result<position>> flush() override;
  asio::awaitable<void> close() override;
  [[nodiscard]] counters totals() const override { return totals_; }

 private:
  struct python_side;
  struct delivery;

  [[nodiscard]] result<delivery> prepare(model::batch& batch);

  module_options options_;
  python_module::deliveries deliveries_;
  std::map<std::uint32_t, encode::arrow_encoder> encoders_;
  std::shared_ptr<python_side> there_;
  bool transactional_ = false;
  bool ends_transaction_ = true;  // what was taken so far does
  std::chrono::steady_clock::time_point asked_{};
  counters totals_;
};

}  // namespace etl::destination
