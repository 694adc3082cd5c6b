#include "runtime/shards.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <cstdlib>
#include <exception>
#include <string>

#include "base/log.hpp"

namespace etl::runtime {
namespace {

std::vector<int> allowed_core_numbers() {
  std::vector<int> numbers;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &allowed)) numbers.push_back(core);
    }
  }
  return numbers;
}

// A container or an old kernel may refuse: a thread that wanders is slower, not wrong.
void pin(int core) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(core, &only);
  if (int const refused = pthread_setaffinity_np(pthread_self(), sizeof only, &only); refused != 0) {
    log::debug("thread not pinned", {{"core", std::int64_t{core}}, {"errno", std::int64_t{refused}}});
  }
}

[[noreturn]] void die_of(char const* what) {
  log::write(log::level::error, "bug: an exception escaped a handler", {{"what", std::string_view(what)}});
  std::abort();
}

void run(asio::io_context& context) {
  try {
    context.run();
  } catch (std::exception const& escaped) {
    die_of(escaped.what());
  } catch (...) {
    die_of("not a std::exception");
  }
}

}  // namespace

unsigned allowed_cores() {
  auto const count = allowed_core_numbers().size();
  return count == 0 ? 1 : static_cast<unsigned>(count);
}

shards::shards(unsigned count) {
  auto const cores = allowed_core_numbers();
  if (count == 0) count = allowed_cores();
  for (unsigned i = 0; i < count; ++i) {
    contexts_.push_back(std::make_unique<asio::io_context>(1));
    guards_.emplace_back(contexts_.back()->get_executor());
  }
  for (unsigned i = 0; i < count; ++i) {
    int const core = cores.empty() ? -1 : cores[i % cores.size()];
    threads_.emplace_back([&context = *contexts_[i], core, i] {
      pthread_setname_np(pthread_self(), fmt::format("shard-{}", i).c_str());
      if (core >= 0) pin(core);
      run(context);
    });
  }
}

void shards::stop_and_join() {
  for (auto& context : contexts_) context->stop();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace etl::runtime
