#include "encode/timestamp.hpp"

#include <chrono>

namespace etl::encode {
namespace {

constexpr std::chrono::sys_days epoch = std::chrono::year{2000} / 1 / 1;
constexpr std::chrono::sys_days first = std::chrono::year{0} / 1 / 1;
constexpr std::chrono::sys_days end = std::chrono::year{10000} / 1 / 1;

constexpr std::int64_t since_epoch(std::chrono::sys_days day) {
  return std::chrono::duration_cast<std::chrono::microseconds>(day - epoch).count();
}

template <int Digits>
char* put(char* out, std::int64_t number, char behind) {
  for (int i = Digits - 1; i >= 0; --i, number /= 10) out[i] = static_cast<char>('0' + number % 10);
  out[Digits] = behind;
  return out + Digits + 1;
}

}  // namespace

bool write_timestamp(char* out, std::int64_t time) {
  if (time < since_epoch(first) || time >= since_epoch(end)) return false;
  auto const moment = epoch + std::chrono::microseconds(time);
  auto const day = std::chrono::floor<std::chrono::days>(moment);
  std::chrono::year_month_day const date(day);
  std::chrono::hh_mm_ss const clock(moment - day);
  out = put<4>(out, int{date.year()}, '-');
  out = put<2>(out, unsigned{date.month()}, '-');
  out = put<2>(out, unsigned{date.day()}, 'T');
  out = put<2>(out, clock.hours().count(), ':');
  out = put<2>(out, clock.minutes().count(), ':');
  out = put<2>(out, clock.seconds().count(), '.');
  put<6>(out, clock.subseconds().count(), 'Z');
  return true;
}

}  // namespace etl::encode
