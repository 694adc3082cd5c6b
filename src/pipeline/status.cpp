#include "pipeline/status.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "pgoutput/frame.hpp"

namespace etl::pipeline {
namespace {

namespace json = boost::json;
using clock = std::chrono::steady_clock;

// While rows flow, what is durable is confirmed this often: each time costs the state store one synced write.
constexpr auto busy_interval = std::chrono::seconds(1);

// PostgreSQL's clock: microseconds since 2000-01-01 UTC.
std::int64_t postgres_now() {
  using namespace std::chrono;
  constexpr auto epoch = sys_days(January / 1 / 2000);
  return duration_cast<microseconds>(system_clock::now() - epoch).count();
}

}  // namespace

std::string pipeline_document::to_document() const {
  return json::serialize(json::object{{"system", system_identifier},
                                      {"database", database},
                                      {"slot", slot},
                                      {"confirmed", confirmed.to_text()},
                                      {"delivered", delivered.to_text()},
                                      {"epoch", epoch},
                                      {"made_slot", made_slot},
                                      {"made_publication", made_publication}});
}

std::optional<pipeline_document> pipeline_document::parse(std::string_view text) {
  boost::system::error_code failed;
  auto const value = json::parse(json::string_view(text.data(), text.size()), failed);
  if (failed || !value.is_object()) return std::nullopt;
  try {
    auto const& from = value.as_object();
    auto const confirmed = lsn::parse(json::value_to<std::string>(from.at("confirmed")));
    auto const delivered = position::parse(json::value_to<std::string>(from.at("delivered")));
    if (!confirmed || !delivered) return std::nullopt;
    return pipeline_document{json::value_to<std::string>(from.at("system")),
                             json::value_to<std::string>(from.at("database")),
                             json::value_to<std::string>(from.at("slot")),
                             *confirmed,
                             *delivered,
                             json::value_to<std::uint32_t>(from.at("epoch")),
                             from.at("made_slot").as_bool(),
                             from.at("made_publication").as_bool()};
  } catch (std::exception const&) {  // a field is missing or of another type
    return std::nullopt;
  }
}

asio::awaitable<result<void>> status::run() {
  auto next_confirm = clock::now() + busy_interval;
  auto next_word = clock::now() + interval_;
  for (;;) {
    // An answer that was asked for goes out at once, with what had been saved; news may follow a moment later.
    bool const asked = std::exchange(core_.reply_wanted, false);
    bool const ask = std::exchange(core_.ask_server, false);
    bool const due = clock::now() >= next_word;
    if (asked || ask || due) {
      if (auto sent = co_await send(ask || due); !sent) co_return sent;
      next_word = clock::now() + interval_;
    }
    if (core_.written_out)
      co_return core_.feedback.flushable() > document_.confirmed ? co_await confirm() : result<void>();
    bool const news = core_.feedback.flushable() > document_.confirmed;
    if (news && (asked || due || clock::now() >= next_confirm)) {
      if (auto confirmed = co_await confirm(); !confirmed) co_return confirmed;
      next_confirm = clock::now() + busy_interval;
    }
    if (core_.reply_wanted || core_.ask_server) continue;
    // While the stream is idle the position moves with keepalives alone; there the slow interval is enough.
    bool const soon = core_.feedback.flushable() > document_.confirmed && core_.delivered > document_.delivered;
    auto const until = soon ? std::min(next_word, next_confirm) : next_word;
    auto const left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());
    if (left.count() > 0) co_await core_.status_wake.wait_for(left);
  }
}

asio::awaitable<result<void>> status::confirm() {
  auto next = document_;
  next.confirmed = std::max(next.confirmed, core_.feedback.flushable());
  next.delivered = core_.delivered;
  std::vector<model::document> entry;
  entry.push_back({std::string(pipeline_document::key), next.to_document()});
  if (auto saved = co_await core_.store.put(std::move(entry)); !saved) co_return saved;
  document_ = next;
  co_return co_await send(false);
}

asio::awaitable<result<void>> status::send(bool ask) {
  auto const received = std::max(core_.received, document_.confirmed);
  auto const message = pgoutput::encode_standby_status(received.value, document_.confirmed.value,
                                                       document_.confirmed.value, postgres_now(), ask);
  co_return co_await connection_.put_message({message.data(), message.size()});
}

}  // namespace etl::pipeline
