#include "pipeline/supervisor.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <random>

#include "base/log.hpp"
#include "destination/factory.hpp"
#include "pipeline/session.hpp"
#include "python/interpreter.hpp"
#include "python/venv.hpp"
#include "runtime/backoff.hpp"
#include "runtime/blocking_worker.hpp"
#include "runtime/connection_semaphore.hpp"
#include "runtime/shards.hpp"
#include "runtime/signals.hpp"
#include "runtime/task_group.hpp"
#include "state/store.hpp"

namespace etl::pipeline {
namespace {

using std::chrono::milliseconds;

constexpr unsigned max_connections = 100;         // PostgreSQL connections of the whole process
constexpr int most_failures_once = 5;             // attempts in a row that `once` makes before it gives up
constexpr auto python_end = milliseconds(1'000);  // for a script that still runs when every pipeline has ended
// An attempt that ran this long was a good one: the next failure begins with the short pauses again.
constexpr auto good_run = std::chrono::minutes(1);

// One pipeline for the life of the process. Everything but the constructor runs on its home core.
class supervised {
 public:
  supervised(config::pipeline_config config, boost::asio::io_context& home, std::vector<boost::asio::io_context*> cores,
             runtime::blocking_worker& blocking, runtime::connection_semaphore& connections,
             python::interpreter* python, run_options const& options)
      : config_(std::move(config)),
        home_(home),
        cores_(std::move(cores)),
        blocking_(blocking),
        connections_(connections),
        python_(python),
        options_(options),
        life_{config_, breaker_, {}, false, false, false, {}},
        wake_(home.get_executor()) {}

  // The exit code's part of this pipeline: it ended well.
  asio::awaitable<bool> run();
  void stop() {
    stopping_ = true;
    wake_.notify();
    if (attempt_ == nullptr) return;
    // Before the stream runs there is nothing to bring to an end.
    if (session_->following()) {
      session_->stop();
    } else {
      attempt_->cancel();
    }
  }
  [[nodiscard]] config::pipeline_config const& config() const { return config_; }
  [[nodiscard]] boost::asio::io_context& home() { return home_; }

 private:
  asio::awaitable<result<void>> attempt(state::store& store);

  config::pipeline_config config_;
  boost::asio::io_context& home_;
  std::vector<boost::asio::io_context*> cores_;
  runtime::blocking_worker& blocking_;
  runtime::connection_semaphore& connections_;
  python::interpreter* python_;
  run_options const& options_;
  runtime::circuit_breaker breaker_;
  lasting life_;
  runtime::event wake_;
  std::unique_ptr<session> session_;
  runtime::task_group* attempt_ = nullptr;  // what session_ runs in
  bool stopping_ = false;
};

asio::awaitable<result<void>> supervised::attempt(state::store& store) {
  surroundings around{
      .home_core = home_,
      .worker_cores = cores_,
      .blocking = blocking_,
      .admit = [this]() -> asio::awaitable<std::shared_ptr<void>> {
        co_return std::make_shared<runtime::connection_semaphore::permit>(co_await connections_.acquire());
      },
      .python = python_,
      .progress = options_.progress,
      .once = options_.once,
  };
  session_ = std::make_unique<session>(life_, store, std::move(around));
  runtime::task_group group(home_.get_executor());
  attempt_ = &group;
  group.spawn(session_->run(), "session");
  auto outcome = co_await group.join();
  attempt_ = nullptr;
  session_.reset();
  co_return outcome;
}

asio::awaitable<bool> supervised::run() {
  auto opened = co_await state::open_store("sqlite:" + config_.state.sqlite_path, config_.name, blocking_);
  if (!opened) {
    log::write(log::level::error, "pipeline failed", fail(std::move(opened)), {{"pipeline", config_.name}});
    co_return false;
  }
  auto& store = **opened;
  std::minstd_rand random(std::random_device{}());
  runtime::backoff pauses(milliseconds(200), milliseconds(30'000),
                          [&random] { return std::uniform_real_distribution<double>()(random); });
  bool well = true;
  for (int failures = 0; !stopping_;) {
    auto const begun = std::chrono::steady_clock::now();
    auto outcome = co_await attempt(store);
    if (outcome) break;
    auto const failure = fail(std::move(outcome));
    if (failure.kind != severity::retry) {
      log::write(log::level::error, "pipeline failed", failure, {{"pipeline", config_.name}});
      well = false;
      break;
    }
    if (std::chrono::steady_clock::now() - begun > good_run) {
      failures = 0;
      pauses.reset();
    }
    ++failures;
    if (options_.once && failures >= most_failures_once) {
      log::write(log::level::error, "pipeline failed again and again", failure, {{"pipeline", config_.name}});
      well = false;
      break;
    }
    if (stopping_) {
      log::write(log::level::warning, "pipeline stopped early", failure, {{"pipeline", config_.name}});
      break;
    }
    auto const pause = pauses.next();
    log::write(log::level::warning, "pipeline interrupted, trying again", failure,
               {{"pipeline", config_.name}, {"pause_ms", std::int64_t{pause.count()}}});
    co_await wake_.wait_for(pause);
  }
  co_await store.close();
  if (well) log::info("pipeline ended", {{"pipeline", config_.name}});
  co_return well;
}

// The one interpreter for every pipeline whose destination needs it; null when none does.
std::unique_ptr<python::interpreter> start_python(std::vector<config::pipeline_config> const& pipelines) {
  auto const needing = std::ranges::find_if(
      pipelines, [](config::pipeline_config const& one) { return destination::needs_python(one.destination); });
  if (needing == pipelines.end()) return nullptr;
  // Every file that names an environment names the same.
  auto const naming =
      std::ranges::find_if(pipelines, [](config::pipeline_config const& one) { return !one.python.venv.empty(); });
  bool const named = naming != pipelines.end();
  return std::make_unique<python::interpreter>(
      python::options{.venv = named ? naming->python.venv : python::default_venv(), .venv_required = named});
}

}  // namespace

int run(std::vector<config::pipeline_config> pipelines, run_options const& options) {
  runtime::shards shards(options.threads);
  runtime::blocking_worker blocking;
  runtime::connection_semaphore connections(max_connections);

  runtime::signals signals(shards.at(0));
  auto const python = start_python(pipelines);

  std::vector<std::unique_ptr<supervised>> all;
  for (std::size_t i = 0; i < pipelines.size(); ++i) {
    auto const home = static_cast<unsigned>(i % shards.size());
    // Copy workers begin at the core next to home, so that the stream keeps its own.
    std::vector<boost::asio::io_context*> cores;
    for (unsigned k = 1; k <= shards.size(); ++k) cores.push_back(&shards.at((home + k) % shards.size()));
    all.push_back(std::make_unique<supervised>(std::move(pipelines[i]), shards.at(home), std::move(cores), blocking,
                                               connections, python.get(), options));
  }

  auto const on_stop = [&]() -> asio::awaitable<void> {
    co_await signals.stop_requested();
    log::info("stopping");
    for (auto& one : all) asio::post(one->home(), [pipeline = one.get()] { pipeline->stop(); });
  };
  asio::cancellation_signal no_more_signals;
  auto listening =
      asio::co_spawn(shards.at(0), on_stop(), asio::bind_cancellation_slot(no_more_signals.slot(), asio::use_future));

  std::vector<std::future<bool>> ends;
  for (auto& one : all) {
    ends.push_back(asio::co_spawn(one->home(), one->run(), asio::use_future));
  }
  bool well = true;
  for (auto& end : ends) well = end.get() && well;
  asio::post(shards.at(0), [&] { no_more_signals.emit(asio::cancellation_type::terminal); });
  listening.wait();
  bool const python_ended = !python || python->stop(python_end);
  shards.stop_and_join();
  if (!python_ended) {
    log::warning("Python hangs in foreign code; leaving without it");
    ::_exit(well ? 0 : 1);
  }
  return well ? 0 : 1;
}

}  // namespace etl::pipeline
