#include "runtime/signals.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/detached.hpp>
#include <catch2/catch.hpp>
#include <csignal>
#include <string>

#include "support/run_coro.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using etl::runtime::signals;

namespace {

// A process with its signals in our hands, which tells by a pipe how far it is.
struct child {
  pid_t number = 0;
  int pipe = -1;

  explicit child(bool stuck) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    number = ::fork();
    if (number == 0) live(ends[1], stuck);
    ::close(ends[1]);
    pipe = ends[0];
  }
  child(child const&) = delete;
  child& operator=(child const&) = delete;
  ~child() { ::close(pipe); }

  [[nodiscard]] char hear() const {
    char said = 0;
    return ::read(pipe, &said, 1) == 1 ? said : '-';
  }
  [[nodiscard]] std::string end() const {
    int status = 0;
    ::waitpid(number, &status, 0);
    return WIFEXITED(status) ? "exit " + std::to_string(WEXITSTATUS(status))
                             : "signal " + std::to_string(WTERMSIG(status));
  }

 private:
  // 'r' ready, 'h' hung up, 's' asked to stop. Then it goes on for ever (stuck: without looking at its io_context), or
  // ends with 0 when the pipe is written to.
  [[noreturn]] static void live(int out, bool stuck) {
    auto const say = [out](char what) {
      if (::write(out, &what, 1) != 1) ::_exit(99);
    };
    asio::io_context core(1);
    signals all(core, [&] { say('h'); });
    auto const body = [&]() -> asio::awaitable<void> {
      say('r');
      co_await all.stop_requested();
      co_await all.stop_requested();  // it stays requested
      say(all.stop_signal() == SIGTERM ? 's' : 'i');
      while (stuck) ::pause();
      ::_exit(0);
    };
    asio::co_spawn(core, body(), asio::detached);
    core.run_for(60s);
    ::_exit(98);
  }
};

}  // namespace

TEST_CASE("SIGHUP calls the hook, SIGTERM asks for a stop") {
  child one(false);
  CHECK(one.hear() == 'r');
  ::kill(one.number, SIGHUP);
  CHECK(one.hear() == 'h');
  ::kill(one.number, SIGPIPE);
  ::kill(one.number, SIGTERM);
  CHECK(one.hear() == 's');
  CHECK(one.end() == "exit 0");
}

TEST_CASE("a second signal ends the process at once, even when its core is stuck") {
  struct {
    int first;
    int second;
    char heard;
    char const* ends;
  } const cases[] = {
      {SIGTERM, SIGTERM, 's', "exit 143"}, {SIGINT, SIGINT, 'i', "exit 130"}, {SIGINT, SIGTERM, 'i', "exit 143"}};
  for (auto const& c : cases) {
    CAPTURE(c.first, c.second);
    child one(true);
    CHECK(one.hear() == 'r');
    ::kill(one.number, c.first);
    CHECK(one.hear() == c.heard);
    ::kill(one.number, c.second);
    CHECK(one.end() == c.ends);
  }
}
