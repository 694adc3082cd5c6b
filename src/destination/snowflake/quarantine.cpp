#include "destination/snowflake/quarantine.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <charconv>
#include <filesystem>

#include "state/files.hpp"

namespace etl::destination::snowflake {
namespace {

constexpr std::string_view code = "snowflake.quarantine";

}  // namespace

std::string quarantine::rows_file(std::string_view channel) const {
  return fmt::format("{}/{}.ndjson", directory_, channel);
}

std::string quarantine::count_file(std::string_view channel) const {
  return fmt::format("{}/{}.seen", directory_, channel);
}

asio::awaitable<result<std::uint64_t>> quarantine::seen(std::string channel) {
  co_return co_await worker_.run([path = count_file(channel)]() -> result<std::uint64_t> {
    std::error_code unknown;
    if (!std::filesystem::exists(path, unknown)) return std::uint64_t{0};
    auto file = state::open_file(code, path, O_RDONLY);
    if (!file) return fail(std::move(file));
    auto const text = state::read_all(code, *file, path);
    if (!text) return fail(result(text));
    std::uint64_t count = 0;
    auto const [end, failed] = std::from_chars(text->data(), text->data() + text->size(), count);
    if (failed == std::errc()) return count;
    return error{severity::config, code, fmt::format("{} does not hold a number", path),
                 "It is damaged: write the number of refused rows of the channel into it."};
  });
}

asio::awaitable<result<void>> quarantine::put_aside(std::string channel, std::string lines, std::uint64_t refusals) {
  co_return co_await worker_.run([&]() -> result<void> {
    auto const path = rows_file(channel);
    if (auto made = state::make_directories(code, directory_); !made) return fail(std::move(made));
    auto file = state::open_file(code, path, O_WRONLY | O_CREAT | O_APPEND);
    if (!file) return fail(std::move(file));
    if (auto written = state::write_all(code, *file, lines, path); !written) return written;
    if (auto synced = state::sync_file(code, *file, path); !synced) return synced;
    if (auto synced = state::sync_directory(code, directory_); !synced) return synced;
    return state::replace_file(code, count_file(channel), std::to_string(refusals));
  });
}

}  // namespace etl::destination::snowflake
