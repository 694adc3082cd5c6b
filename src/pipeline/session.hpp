#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/error.hpp"
#include "pipeline/copier.hpp"
#include "pipeline/home.hpp"
#include "pipeline/progress.hpp"
#include "pipeline/status.hpp"

namespace etl::python {
class interpreter;
}

namespace etl::pipeline {

// What a session needs of the process.
struct surroundings {
  boost::asio::io_context& home_core;
  std::vector<boost::asio::io_context*> worker_cores;
  runtime::blocking_worker& blocking;
  std::function<asio::awaitable<std::shared_ptr<void>>()> admit;  // a place among the process's connections
  python::interpreter* python = nullptr;                          // where the destination needs it
  progress_sink* progress = nullptr;
  bool once = false;
};

// One attempt at running a pipeline: connect and check, create what is missing, copy, follow, stop. Home core.
class session {
 public:
  session(lasting& life, state::store& store, surroundings around);
  ~session();

  // Until stop() (or, with `once`, until everything that was committed at the start is durable), or an error.
  asio::awaitable<result<void>> run();
  // Stops cleanly: ends the transaction that is being read, makes durable what is complete, says so to PostgreSQL.
  // While following() only; before that, cancel run().
  void stop();
  [[nodiscard]] bool following() const { return following_; }

 private:
  asio::awaitable<result<void>> prepare();
  asio::awaitable<result<void>> check_server(pg::connection& source);
  // The tables that this pipeline replicates, by publication and source.tables; makes the publication if it is missing.
  asio::awaitable<result<std::vector<catalog::table>>> choose_tables(pg::connection& source);
  asio::awaitable<result<void>> tell_left_alone(pg::connection& source);
  asio::awaitable<result<void>> make_publication(pg::connection& source);
  asio::awaitable<result<void>> extend_publication(pg::connection& source,
                                                   std::vector<catalog::publication> const& there);
  asio::awaitable<result<void>> prepare_slot(pg::connection& source);
  asio::awaitable<result<void>> create_slot();
  asio::awaitable<result<void>> drop_useless_slot(pg::connection& source);
  // What a failure of the stream means that comes from a slot made while transactions changed tables.
  [[nodiscard]] error undecodable(error failure);
  // Tells which transactions a new slot waits for, every few seconds, until cancelled.
  asio::awaitable<result<void>> name_those_in_the_way();
  asio::awaitable<result<void>> open_destination(std::vector<catalog::table> const& tables);
  asio::awaitable<result<void>> check_apart(pg::connection& source);
  // What to do when what was replicated cannot be gone on with.
  [[nodiscard]] std::string begin_anew() const;
  result<void> check_progress(catalog::slot const* slot) const;
  void read_progress();
  std::map<std::string, std::uint32_t> names_of_others(std::vector<catalog::table> const& tables) const;
  std::optional<known_schema> schema_there(model::relation const& table);
  asio::awaitable<result<void>> adopt_table(catalog::table facts, catalog::present_end present);
  asio::awaitable<result<replicated_table*>> discover(std::uint32_t oid);
  asio::awaitable<result<std::vector<model::type_definition>>> types_now(model::relation_ptr table);
  asio::awaitable<result<void>> follow();
  asio::awaitable<result<void>> watch();
  asio::awaitable<result<void>> watch_types();
  asio::awaitable<result<void>> check_types();
  asio::awaitable<result<void>> nudge();
  asio::awaitable<result<void>> look_around();
  asio::awaitable<result<void>> compare_tables();
  asio::awaitable<result<void>> look_at_partitions();
  // With source.sequences: the source's sequences as they stand, for the writer.
  asio::awaitable<result<void>> read_sequences();
  // The same at the end of a run, carried over: everything is durable, and the writer has ended.
  asio::awaitable<void> carry_last_sequences();
  asio::awaitable<result<void>> finish();
  asio::awaitable<result<void>> save_document();
  asio::awaitable<void> close();
  void show_progress(bool ended);

  [[nodiscard]] pg::connect_options source_access(bool replication) const;
  [[nodiscard]] config::pipeline_config const& config() const { return life_.config; }
  // The publication that this program makes for tables whose updates cannot be published.
  [[nodiscard]] std::string inserts_publication() const;
  [[nodiscard]] std::vector<std::string> publication_names() const;

  lasting& life_;
  state::store& store_;
  surroundings around_;
  std::unique_ptr<destination::destination> destination_;
  std::unique_ptr<home> core_;
  std::unique_ptr<copier> copier_;
  std::unique_ptr<pg::connection> replication_;
  catalog::server_facts server_;
  destination::recovered recovered_;
  pipeline_document document_;
  bool has_document_ = false;
  std::map<std::string, std::string> documents_;         // what state and destination kept, by key
  std::map<std::uint32_t, known_schema> known_schemas_;  // as kept, by table
  std::map<std::pair<std::string, std::string>, std::vector<std::uint32_t>> known_schemas_by_name_;
  std::map<std::string, copy_progress> known_progress_;        // of these, the tables' copies
  std::set<std::pair<std::string, std::string>> known_names_;  // and their tables: schema, name
  lsn fence_{};                                                // with `once`: where the source was at the start
  bool binary_ = false;
  bool following_ = false;
  bool stream_ended_ = false;
  std::chrono::steady_clock::time_point sequences_due_{};
  std::chrono::steady_clock::time_point partitions_due_{};
  std::set<std::uint32_t> repartitioned_;  // tables seen to be, the last time
  bool told_of_hidden_sequences_ = false;
  bool once_reached_ = false;  // everything that `once` waits for is durable
  bool copier_ended_ = false;
};

}  // namespace etl::pipeline
