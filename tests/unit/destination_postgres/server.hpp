#pragma once

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "pg/connection.hpp"

namespace etl::test {

namespace asio = boost::asio;

// A PostgreSQL server for this process alone, on a Unix socket in a directory that goes with it. PostgreSQL refuses to
// run as root, so for root it runs as the user postgres.
class server {
 public:
  static server& instance() {
    static server only;
    return only;
  }

  [[nodiscard]] std::string url(std::string_view database = "postgres") const {
    return fmt::format("host={} user=postgres dbname={}", directory_.string(), database);
  }

 private:
  server() : directory_(make_directory()), programs_(newest_programs()) {
    if (::geteuid() == 0) {
      auto const* const user = ::getpwnam("postgres");
      if (user == nullptr || ::chown(directory_.c_str(), user->pw_uid, user->pw_gid) != 0) {
        throw std::runtime_error("no user postgres to run a server as");
      }
      prefix_ = "runuser -u postgres -- ";
    }
    run("initdb -D {0}/data -U postgres -A trust --no-sync --locale=C.UTF-8 -E UTF8");
    run("pg_ctl start -D {0}/data -w -l {0}/server.log "
        "-o '-c fsync=off -c listen_addresses= -c unix_socket_directories={0} -c max_connections=30'");
  }
  ~server() {
    try {
      run("pg_ctl stop -D {0}/data -w -m immediate");
    } catch (std::runtime_error const& failure) {
      fmt::print(stderr, "{}\n", failure.what());
    }
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  static std::filesystem::path make_directory() {
    auto name = (std::filesystem::temp_directory_path() / "etl-unit-pg.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a directory for a server");
    return name;
  }
  static std::filesystem::path newest_programs() {
    std::filesystem::path newest;
    int version = 0;
    std::error_code missing;
    for (auto const& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", missing)) {
      int const found = std::atoi(entry.path().filename().c_str());
      if (found <= version || !std::filesystem::exists(entry.path() / "bin/initdb")) continue;
      version = found;
      newest = entry.path() / "bin";
    }
    if (newest.empty()) throw std::runtime_error("no PostgreSQL server is installed below /usr/lib/postgresql");
    return newest;
  }
  void run(std::string_view command) {
    auto const line = fmt::format("cd / && {}{}/{} >>{}/programs.log 2>&1 </dev/null", prefix_, programs_.string(),
                                  fmt::format(fmt::runtime(command), directory_.string()), directory_.string());
    if (std::system(line.c_str()) != 0) throw std::runtime_error("failed: " + line);
  }

  std::filesystem::path directory_;
  std::filesystem::path programs_;
  std::string prefix_;
};

// Runs one coroutine to its end on a context of its own choice; what it throws is thrown here.
template <class T>
T run(asio::io_context& context, asio::awaitable<T> task) {
  std::optional<T> outcome;
  std::exception_ptr thrown;
  asio::co_spawn(context, std::move(task), [&](std::exception_ptr failure, T value) {
    thrown = failure;
    outcome.emplace(std::move(value));
  });
  context.restart();
  context.run_for(std::chrono::minutes(1));
  if (thrown) std::rethrow_exception(thrown);
  if (!outcome) throw std::runtime_error("a coroutine did not end within a minute");
  return std::move(*outcome);
}

inline void run(asio::io_context& context, asio::awaitable<void> task) {
  bool ended = false;
  std::exception_ptr thrown;
  asio::co_spawn(context, std::move(task), [&](std::exception_ptr failure) {
    thrown = failure;
    ended = true;
  });
  context.restart();
  context.run_for(std::chrono::minutes(1));
  if (thrown) std::rethrow_exception(thrown);
  if (!ended) throw std::runtime_error("a coroutine did not end within a minute");
}

// Somebody else's session at the server.
class sql_session {
 public:
  explicit sql_session(std::string url) {
    pg::connect_options options;
    options.url = std::move(url);
    options.application_name = "etl tests";
    connection_ = run(context_, pg::connection::connect(std::move(options))).value();
  }

  // The last statement's rows, one line each, columns separated by commas.
  std::vector<std::string> operator()(std::string sql) {
    auto rows = run(context_, connection_->query(std::move(sql), "a test's SQL"));
    if (!rows) throw std::runtime_error(rows.error().to_text() + " " + rows.error().server_text);
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < rows->size(); ++i) {
      std::string line;
      for (std::size_t c = 0; c < rows->columns(); ++c) {
        line += c == 0 ? "" : ",";
        line += rows->is_null(i, c) ? "NULL" : rows->text(i, c);
      }
      lines.push_back(std::move(line));
    }
    return lines;
  }
  std::string value(std::string sql) { return (*this)(std::move(sql)).at(0); }

 private:
  asio::io_context context_;
  std::unique_ptr<pg::connection> connection_;
};

}  // namespace etl::test
