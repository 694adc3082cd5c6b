#include "destination/python/module_destination.hpp"

#include <fmt/format.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <boost/asio/this_coro.hpp>
#include <utility>
#include <variant>
#include <vector>

#include "base/log.hpp"
#include "destination/python/module_objects.hpp"
#include "python/objects.hpp"
#include "runtime/pause.hpp"

namespace etl::destination {
namespace {

namespace py = pybind11;
using python_module::to_position;

// flush() may be called in a loop until everything is durable.
constexpr auto between_questions = std::chrono::milliseconds(100);

error broken_protocol(std::string const& module, std::string_view what) {
  return {severity::config, "python.protocol", fmt::format("the Python module {}: {}", module, what),
          "The page etl-stream-python(1) and examples/python-destination describe what a module offers."};
}

}  // namespace

// What lives in the interpreter. Shared with the jobs, which may run on when their caller is gone.
struct module_destination::python_side {
  explicit python_side(module_options const& options)
      : module(options.module), made(*options.python), tables(*options.python) {}

  std::string const module;    // for messages
  python::object_slot made;    // what open() returned
  python::object_slot tables;  // a dict: the described table of each OID

  [[nodiscard]] py::dict known() const { return py::reinterpret_borrow<py::dict>(tables.get()); }
  [[nodiscard]] py::object table(std::uint32_t oid) const { return known()[py::int_(oid)]; }
  [[nodiscard]] error broken(std::string_view what) const { return broken_protocol(module, what); }
};

// A batch on its way into the interpreter.
struct module_destination::delivery {
  struct rows {
    model::table_rows table;
    std::shared_ptr<encode::arrow_batch const> encoded;
  };
  struct truncated {
    std::vector<std::uint32_t> tables;
    position at;
  };
  std::vector<std::variant<rows, truncated>> steps;
  std::vector<python_module::deliveries::part> parts;
  std::vector<std::pair<std::string, std::string>> documents;
  position last;
  bool ends_transaction;
};

module_destination::module_destination(module_options options) : options_(std::move(options)) {
  options_.can.row_origins = true;
}

module_destination::~module_destination() = default;

asio::awaitable<result<recovered>> module_destination::open() {
  struct opened {
    bool transactional = false;
    bool renames = false;
    recovered progress;
  };
  there_ = std::make_shared<python_side>(options_);
  auto const load = [there = there_, source = options_.source, config = options_.config,
                     settings = options_.settings]() -> result<opened> {
    auto const module = source.empty() ? python::load_module(there->module)
                                       : python::load_source(there->module, source, there->module + ".py");
    if (!py::hasattr(module, "open")) return there->broken("there is no function open()");
    py::dict given = py::cast(config);
    py::dict revealed;
    for (auto const& [name, value] : settings) revealed[py::str(name)] = value.reveal();
    given["settings"] = revealed;
    auto const made = py::object(module.attr("open")(given));
    for (char const* const method : {"ensure_table", "write", "durable", "close"}) {
      if (!py::hasattr(made, method)) return there->broken(fmt::format("what open() returns has no {}()", method));
    }
    there->tables.hold(py::dict());
    there->made.hold(made);
    opened outcome{.transactional = py::hasattr(made, "recover")};
    if (py::hasattr(made, "renames")) outcome.renames = py::cast<bool>(made.attr("renames"));
    if (!outcome.transactional) return outcome;
    auto const told = py::tuple(made.attr("recover")());
    auto const durable = told.size() == 2 ? to_position(told[0]) : std::nullopt;
    if (!durable) return there->broken("recover() has to return a position and a dict of documents");
    outcome.progress.durable = *durable;
    for (auto const& [key, value] : py::dict(told[1])) {
      outcome.progress.documents.push_back({py::cast<std::string>(key), py::cast<std::string>(value)});
    }
    return outcome;
  };
  auto outcome = co_await options_.python->run(load, options_.call_limit);
  if (!outcome) co_return fail(std::move(outcome));
  transactional_ = outcome->transactional;
  options_.can.exactly_once = transactional_;
  options_.can.keeps_documents = transactional_;
  options_.can.renames = outcome->renames;
  options_.can.splits_transactions = !transactional_;
  options_.can.positions_by_table = !transactional_;
  deliveries_ = {};
  deliveries_.accepted(outcome->progress.durable, {});
  co_return std::move(outcome->progress);
}

asio::awaitable<result<table_state>> module_destination::ensure_table(table_change change) {
  auto const& table = change.table;
  auto const ensure = [there = there_, table, replaces = change.before && change.before->oid != table->oid,
                       copied_again = change.copied_again]() -> result<table_state> {
    auto described = python_module::describe(*table);
    described["replaces"] = replaces;
    described["copied_again"] = copied_again;
    py::object const told = there->made.get().attr("ensure_table")(described);
    there->known()[py::int_(table->oid)] = described;
    table_state state;
    auto const is_dict = py::isinstance<py::dict>(told);
    auto const durable = to_position(is_dict ? py::object(told.attr("get")("position")) : told);
    if (!durable) return there->broken("ensure_table() has to return None, a position or a dict");
    state.durable = state.furthest = *durable;
    if (is_dict) {
      state.created = py::cast<bool>(told.attr("get")("created", false));
      state.has_rows = py::cast<bool>(told.attr("get")("has_rows", false));
      state.stale = py::cast<bool>(told.attr("get")("stale", false));
    }
    return state;
  };
  auto state = co_await options_.python->run(ensure, options_.call_limit);
  if (!state) {
    auto failure = fail(std::move(state));
    if (failure.kind == severity::data) failure.table = table->oid;
    co_return failure;
  }
  if (transactional_ && change.documents) {
    // In the transaction at hand, which goes on as it was.
    auto const keep = [there = there_, documents = change.documents(state->stale), last = deliveries_.accepted(),
                       ends = ends_transaction_]() -> result<void> {
      py::list given;
      for (auto const& document : documents) given.append(py::make_tuple(document.key, document.value));
      there->made.get().attr("end_batch")(last.to_text(), given, ends);
      return result<void>();
    };
    auto kept = co_await options_.python->run(keep, options_.call_limit);
    if (!kept) co_return fail(std::move(kept));
  }
  if (options_.format == config::batch_format::arrow) {
    encoders_.insert_or_assign(table->oid, encode::arrow_encoder(table, options_.arrow));
  }
  if (transactional_) {
    state->durable = state->furthest = {};
  } else {
    deliveries_.found(table->oid, state->durable);
  }
  co_return state;
}

// Drops what the module has, and encodes the rest.
result<module_destination::delivery> module_destination::prepare(model::batch& batch) {
  delivery made{.last = batch.last, .ends_transaction = batch.ends_transaction};
  for (auto& step : batch.steps) {
    if (auto* const event = std::get_if<model::truncation>(&step)) {
      delivery::truncated truncated{.at = event->at};
      for (auto const& table : event->tables) {
        if (!transactional_ && !deliveries_.wanted(table->oid, event->at)) continue;
        truncated.tables.push_back(table->oid);
        made.parts.push_back({table->oid, event->at});
      }
      if (!truncated.tables.empty()) made.steps.emplace_back(std::move(truncated));
      continue;
    }
    auto& rows = std::get<model::table_rows>(step);
    if (!transactional_ && !deliveries_.cut(rows)) continue;
    made.parts.push_back({rows.table->oid, rows.last});
    std::shared_ptr<encode::arrow_batch const> encoded;
    if (auto const encoder = encoders_.find(rows.table->oid); encoder != encoders_.end()) {
      auto outcome = encoder->second.encode(rows);
      if (!outcome) return fail(std::move(outcome));
      encoded = std::move(*outcome);
      rows.bytes = buffer();
    }
    made.steps.emplace_back(delivery::rows{std::move(rows), std::move(encoded)});
  }
  for (auto& document : batch.documents) {
    made.documents.emplace_back(std::move(document.key), std::move(document.value));
  }
  return made;
}

asio::awaitable<result<void>> module_destination::write(model::batch& batch) {
  totals_.rows += batch.rows;
  totals_.bytes += batch.bytes;
  bool const ends = batch.ends_transaction;
  auto prepared = prepare(batch);
  if (!prepared) co_return fail(std::move(prepared));
  auto const last = prepared->last;
  auto parts = prepared->parts;
  // Which table an exception is about: read when the job has ended.
  auto const current = std::make_shared<std::uint32_t>(0);
  auto deliver = [there = there_, current, given = std::move(*prepared),
                  transactional = transactional_]() -> result<void> {
    auto const made = there->made.get();
    for (auto const& step : given.steps) {
      if (auto const* const rows = std::get_if<delivery::rows>(&step)) {
        *current = rows->table.table->oid;
        made.attr("write")(there->table(*current), python_module::make_batch(rows->table, rows->encoded));
        continue;
      }
      auto const& truncated = std::get<delivery::truncated>(step);
      for (auto const oid : truncated.tables) {
        *current = oid;
        if (!py::hasattr(made, "truncate")) {
          error refused = there->broken("a table was truncated at the source, and there is no truncate()");
          refused.kind = severity::data;
          refused.table = oid;
          return refused;
        }
        made.attr("truncate")(there->table(oid), truncated.at.to_text());
      }
    }
    *current = 0;
    if (transactional) {
      made.attr("end_batch")(given.last.to_text(), py::cast(given.documents), given.ends_transaction);
    }
    return result<void>();
  };
  auto delivered = co_await options_.python->run(std::move(deliver), options_.call_limit);
  if (!delivered) {
    auto failure = fail(std::move(delivered));
    if (failure.kind == severity::data && failure.table == 0) failure.table = *current;
    co_return failure;
  }
  deliveries_.accepted(last, std::move(parts));
  ends_transaction_ = ends;
  co_return result<void>();
}

asio::awaitable<result<position>> module_destination::flush() {
  if (auto const wait = asked_ + between_questions - std::chrono::steady_clock::now();
      wait.count() > 0 && deliveries_.complete() < deliveries_.accepted()) {
    co_await runtime::pause(wait);
  }
  using parts = std::vector<python_module::deliveries::part>;
  // All that was taken; everything up to a position; of each table up to one.
  using answer = std::variant<std::monostate, position, parts>;
  auto const ask = [there = there_]() -> result<answer> {
    auto const broken = [&] {
      return there->broken("durable() has to return a position, a dict of one for each table's oid, or None");
    };
    py::object const told = there->made.get().attr("durable")();
    if (told.is_none()) return answer();
    if (!py::isinstance<py::dict>(told)) {
      auto const whole = to_position(told);
      if (!whole) return broken();
      return *whole;
    }
    parts tables;
    for (auto const& [oid, text] : py::dict(told)) {
      auto const at = to_position(text);
      if (!at || !py::isinstance<py::int_>(oid)) return broken();
      tables.push_back({py::cast<std::uint32_t>(oid), *at});
    }
    return tables;
  };
  auto told = co_await options_.python->run(ask, options_.call_limit);
  asked_ = std::chrono::steady_clock::now();
  if (!told) co_return fail(std::move(told));
  if (auto const* const whole = std::get_if<position>(&*told)) {
    deliveries_.durable(*whole);
  } else if (auto const* const tables = std::get_if<parts>(&*told)) {
    for (auto const& [table, at] : *tables) deliveries_.durable(table, at);
  } else {
    deliveries_.all_durable();
  }
  co_return deliveries_.complete();
}

asio::awaitable<void> module_destination::close() {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (!there_) co_return;
  auto const there = std::exchange(there_, nullptr);
  auto const end = [there]() -> result<void> {
    if (there->made.get()) there->made.get().attr("close")();
    return result<void>();
  };
  auto ended = co_await options_.python->run(end, options_.close_limit);
  if (!ended) log::write(log::level::warning, "a Python module failed while it was closed", ended.error());
}

}  // namespace etl::destination
