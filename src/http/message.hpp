#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace etl::http {

using header_list = std::vector<std::pair<std::string, std::string>>;

struct request {
  std::string method = "GET";
  std::string target = "/";  // path and query, percent-encoded
  header_list headers;       // besides Host, User-Agent and Content-Length
  std::string_view body;     // borrowed until the answer is there
  // From the first byte sent to the last one received; for each attempt by itself.
  std::chrono::milliseconds timeout{30'000};
  // Whether the server may get it twice: then a kept connection that turns out to be dead is no failure.
  bool repeatable = false;
};

struct response {
  unsigned status = 0;
  header_list headers;
  std::string body;

  // The first of that name, in any case; empty where there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
};

}  // namespace etl::http
