#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "config/secret.hpp"
#include "destination/snowflake/key_pair.hpp"
#include "http/client.hpp"
#include "runtime/event.hpp"

namespace etl::destination::snowflake {

namespace asio = boost::asio;

struct account_options {
  std::string account;   // "myorg-myaccount", or a locator with its region
  std::string endpoint;  // empty: the account's public address
  std::string ca_file;   // empty: the system's certificate authorities
  std::string user;
  config::secret private_key;  // PKCS#8 PEM
  config::secret passphrase;   // empty: the key is not encrypted
  std::string role;            // these four as Snowflake has them; empty: the user's defaults
  std::string warehouse;
  std::string database;
  std::string schema;
  http::proxy_settings proxies = http::proxy_settings::from_environment();
  // Handed in so that tests can turn it.
  std::function<std::chrono::system_clock::time_point()> now = [] { return std::chrono::system_clock::now(); };
};

// An account's two servers, and what makes them listen: the account's own one takes tokens that the key pair signs
// (JWT); the one for rows takes a token that the account's server gives for such a JWT, valid for some ten minutes.
// Home core; it must outlive its calls.
class account {
 public:
  // Errors (config): those of key_pair::load() and http::client::make().
  [[nodiscard]] static result<std::unique_ptr<account>> make(asio::any_io_executor home, account_options options);

  // Sends `what` to the account's server, or to that for rows (found out at the first call). An answer with status 401
  // drops the token, and `what` is sent once more with a new one; a second 401 is `snowflake.authentication` (config).
  // All other statuses are the caller's business. Errors: those of http::client::send(); snowflake.answer (retry).
  asio::awaitable<result<http::response>> send(http::request what);
  asio::awaitable<result<http::response>> send_ingest(http::request what);
  // Closes connections that nobody uses.
  void drop_idle();

  [[nodiscard]] account_options const& options() const { return options_; }

 private:
  struct credential {
    std::string text;
    std::chrono::system_clock::time_point expires{};
  };

  account(asio::any_io_executor home, account_options options, key_pair keys, std::unique_ptr<http::client> front);
  [[nodiscard]] std::string jwt();
  asio::awaitable<result<void>> find_ingest_host();
  asio::awaitable<result<std::string>> ingest_token();
  asio::awaitable<result<void>> exchange_token();
  asio::awaitable<result<http::response>> send_with_jwt(http::request what);
  [[nodiscard]] error refused(http::response const& answer) const;

  asio::any_io_executor home_;
  account_options options_;
  key_pair keys_;
  std::unique_ptr<http::client> front_;   // the account's server
  std::unique_ptr<http::client> ingest_;  // null until its name is known
  credential jwt_;
  credential token_;
  bool getting_ready_ = false;  // somebody asks for host or token; the others wait for the end of that
  runtime::event ready_;
};

// "https://myorg-my-account.snowflakecomputing.com" for "MyOrg-My_Account": names of hosts have no underscores.
[[nodiscard]] std::string public_address(std::string_view account);

// What a service says in the body of an answer that is no success.
struct service_error {
  std::string code;
  std::string message;  // may quote values
  std::string sql_state;
};
[[nodiscard]] service_error read_service_error(std::string_view body);

}  // namespace etl::destination::snowflake
