#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "destination/destination.hpp"
#include "destination/snowflake/applier.hpp"
#include "destination/snowflake/lane.hpp"
#include "destination/snowflake/names.hpp"
#include "destination/snowflake/quarantine.hpp"
#include "destination/snowflake/sql_runner.hpp"
#include "destination/snowflake/table_sql.hpp"
#include "destination/snowflake/transport.hpp"

namespace etl::destination {

// How Snowflake is reached.
struct snowflake_services {
  std::unique_ptr<snowflake::transport> rows;
  snowflake::sql_runner sql;
};

struct snowflake_options {
  snowflake::layout all;
  unsigned channels = 2;  // per table
  // Makes what open() uses; called there, on the home core.
  std::function<asio::awaitable<result<snowflake_services>>()> connect;
  // Where refused rows are put aside. Empty: they stop the pipeline.
  std::string quarantine_directory;
  // dependencies::memory: when a channel was last taken over by somebody else. May be null.
  std::shared_ptr<void>* memory = nullptr;
};

// Snowflake tables by Snowpipe Streaming, exactly once (README.md). Rows go into landing tables, each key's by one
// channel; `applier`, a task or a view makes the target tables of them.
//
// What is durable is what the service has proven to hold (snowflake::lane). After a crash, each channel's committed
// offset says what it has, and the rows that come again are dropped up to there.
class snowflake_destination final : public destination {
 public:
  explicit snowflake_destination(snowflake_options options);
  ~snowflake_destination() override;

  [[nodiscard]] capabilities const& what_it_can() const override { return can_; }
  [[nodiscard]] encoding wants() const override { return encoding::ndjson; }
  void adapt(encode::ndjson_options& options) const override;
  asio::awaitable<result<recovered>> open() override;
  // Errors besides those of transport and SQL: what snowflake::table_sql and snowflake::lane name,
  // `destination.table_name` (data) where two tables would become one.
  asio::awaitable<result<table_state>> ensure_table(table_change change) override;
  // `destination.changed_key` (data): a changed key with values left out, where nothing but MERGE could resolve it.
  asio::awaitable<result<void>> write(model::batch& batch) override;
  asio::awaitable<result<position>> flush() override;
  void passed_recovered() override;
  asio::awaitable<result<void>> catch_up() override;
  asio::awaitable<void> close() override;
  [[nodiscard]] counters totals() const override { return totals_; }

 private:
  using clock = std::chrono::steady_clock;

  struct replicated {
    model::relation_ptr relation;
    std::string target;  // its name for SQL
    std::vector<snowflake::lane> lanes;
  };
  // What goes into one lane, in order.
  struct piece {
    std::string_view rows;
    std::size_t count = 0;
    position first{};
    position last{};
  };
  using pieces = std::map<snowflake::lane*, std::vector<piece>>;
  // Rows that are not proven to be there yet, kept where refused ones are to be put aside.
  struct kept {
    std::string rows;
    position last{};
  };

  asio::awaitable<result<bool>> make_table(
      std::string create, std::string describe,
      std::function<result<std::vector<std::string>>(snowflake::existing_table const&)> fit);
  asio::awaitable<result<bool>> prepare_landing(snowflake::table_sql const& sql);
  asio::awaitable<result<void>> prepare_target(snowflake::table_sql const& sql, table_state& state);
  asio::awaitable<result<void>> run_all(std::vector<std::string> statements);
  [[nodiscard]] result<void> check_change(table_change const& change) const;
  asio::awaitable<result<bool>> has_rows(std::string count);
  asio::awaitable<result<void>> open_lanes(replicated& table, snowflake::table_names const& names);

  [[nodiscard]] result<void> check_rows(model::table_rows const& rows) const;
  void add_unknown(std::vector<piece>& to, snowflake::lane const& known, model::table_rows const& rows) const;
  asio::awaitable<result<void>> send(pieces what);
  asio::awaitable<result<void>> deliver(pieces what);
  void truncate(model::truncation const& event, pieces& to, std::deque<std::string>& markers);
  asio::awaitable<result<void>> learn();
  asio::awaitable<result<bool>> see_to_refused(std::vector<snowflake::lane*> const& owing,
                                               std::vector<snowflake::channel_status> const& said);
  asio::awaitable<result<bool>> put_aside(snowflake::lane& from, snowflake::channel_status const& status);
  asio::awaitable<result<std::set<position>>> missing_in_landing(std::string landing, std::string_view rows);
  [[nodiscard]] std::optional<position> position_in(std::string_view line) const;
  asio::awaitable<result<void>> settle();
  asio::awaitable<void> pace();
  [[nodiscard]] position delivered();
  [[nodiscard]] error judged(error why);

  snowflake_options options_;
  capabilities can_;
  snowflake_services services_;
  std::shared_ptr<snowflake::applier> applier_;  // with apply = "merge"
  std::map<std::uint32_t, replicated> tables_;   // by the source's OID
  std::size_t position_offset_;                  // in every line
  position accepted_{};
  position furthest_{};  // what some lane held when it was opened
  clock::time_point asked_{};
  std::optional<snowflake::quarantine> quarantine_;
  std::map<snowflake::lane*, std::deque<kept>> kept_;
  std::size_t kept_bytes_ = 0;
  clock::time_point unclear_since_{};  // zero: refused rows, if any, were found
  counters totals_;
};

}  // namespace etl::destination
