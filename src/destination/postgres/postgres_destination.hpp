#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "destination/destination.hpp"
#include "destination/postgres/sequences.hpp"
#include "destination/postgres/transferable.hpp"
#include "pg/connection.hpp"

namespace etl::destination {

namespace postgres {
struct alteration;
class applier;
struct session;
struct surveyed_table;
struct target;
}  // namespace postgres

struct postgres_options {
  pg::connect_options server;
  std::string pipeline;  // its name: the key of its progress and of its lock
  // copy_binary when binary_transferable() says so of every table, else copy_text.
  encoding transfer = encoding::copy_binary;
  // The relation's types as the source has them now; asked when a row holds a label that the destination's enum lacks.
  std::function<asio::awaitable<result<std::vector<model::type_definition>>>(model::relation_ptr)> types_now;
  // How long open() waits for a predecessor to let go of the pipeline.
  std::chrono::milliseconds lock_wait{10'000};
};

// The key of the advisory lock that an open destination holds for its pipeline, as an SQL expression. Advisory locks
// belong to a database: who finds the lock taken is in the destination's.
[[nodiscard]] std::string postgres_lock_key(std::string const& pipeline);

// Keeps PostgreSQL tables equal to the source's, exactly once: whole source transactions, in commit order, with the
// position in the same transaction (etl_stream.progress). A batch that ends inside a source transaction leaves the
// destination's transaction open, and the next goes on in it.
//
// Commits do not wait for the disk; flush() does, under the server's own synchronous_commit. A crash in between loses
// rows and progress alike.
//
// Rows that somebody else removed or added at the destination are repaired by upsert, counted, and logged. After a
// `data` error, which names its table, everything is as before the call: the batch may be written again without that
// table.
class postgres_destination final : public destination {
 public:
  explicit postgres_destination(postgres_options options);
  ~postgres_destination() override;

  [[nodiscard]] capabilities const& what_it_can() const override;
  [[nodiscard]] encoding wants() const override { return options_.transfer; }

  // Besides the connection's errors: `destination.in_use`, `destination.read_only`, `destination.progress_unreadable`.
  asio::awaitable<result<recovered>> open() override;
  asio::awaitable<result<void>> expect_tables(std::vector<model::relation_ptr> tables) override;
  // Errors (all `data`): `destination.type_missing`, `destination.type_differs`, `destination.enum_label`,
  // `destination.column_type`, `destination.column_generated`, `destination.column_not_generated`,
  // `destination.key_missing`, `destination.not_a_table`, `destination.name_taken`, `destination.refused`.
  asio::awaitable<result<table_state>> ensure_table(table_change change) override;
  // Errors: those of ensure_table.
  asio::awaitable<result<void>> write(model::batch& batch) override;
  asio::awaitable<result<position>> flush() override;
  asio::awaitable<result<void>> set_sequences(std::vector<model::sequence> sequences) override;
  // Drops the connection, and with it an open transaction. Never waits.
  asio::awaitable<void> close() override;

  [[nodiscard]] counters totals() const override { return totals_; }

 private:
  asio::awaitable<result<table_state>> fit(table_change const& change);
  // What fits comes to while the table has another name, or belongs to one that the source has dropped.
  asio::awaitable<result<void>> take_over(model::relation const& before, model::relation const& table);
  asio::awaitable<result<void>> alter(std::vector<postgres::alteration> const& changes);
  asio::awaitable<result<void>> keep(std::vector<model::document> const& documents);
  asio::awaitable<result<bool>> allow_nulls(model::relation const& table);
  asio::awaitable<result<table_state>> know(model::relation_ptr table, table_state state, bool partitioned);
  // Tables that ensure_table() has not seen in this session, before anything of the batch is applied.
  asio::awaitable<result<void>> know_tables(model::batch const& batch);
  asio::awaitable<result<void>> apply(model::batch const& batch);
  // Gives enums the labels that they lack; how many.
  asio::awaitable<result<std::size_t>> add_labels(model::relation const& table,
                                                  std::vector<model::type_definition> const& types);
  // Whether what failed may go through because an enum has got labels; an error where a type has become another one.
  asio::awaitable<result<bool>> learn_labels(error const& failure);
  result<void> queue_documents(model::batch const& batch);
  asio::awaitable<result<void>> roll_back(bool joined);
  [[nodiscard]] bool try_another_way(error const& failure);
  void settle(model::batch const& batch);
  void tell_differences(postgres::target& table);

  postgres_options options_;
  std::unique_ptr<postgres::session> session_;
  std::unique_ptr<postgres::applier> applier_;
  boost::unordered_flat_map<std::uint32_t, std::unique_ptr<postgres::target>> targets_;  // by relation OID
  // What expect_tables() saw of tables that ensure_table() has not been called for yet.
  boost::unordered_flat_map<std::uint32_t, std::unique_ptr<postgres::surveyed_table>> surveyed_;
  postgres::known_sequences sequences_;
  bool in_transaction_ = false;
  bool truncate_by_deleting_ = false;  // foreign keys at the destination forbid TRUNCATE
  unsigned conflicts_ = 0;             // deadlocks and the like, in the batch in hand
  std::string position_text_;
  position committed_{};
  position durable_{};
  bool unsynced_ = false;  // commits since the last flush
  counters totals_;
};

}  // namespace etl::destination
