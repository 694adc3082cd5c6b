#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "bytes.hpp"
#include "pgoutput/frame.hpp"

TEST_CASE("WAL data") {
  std::string const data = bytes('w').i64(0x10).i64(0x20).i64(-3).raw("Bxyz");
  pgoutput::frame out;
  REQUIRE_FALSE(pgoutput::decode_frame(data, out));
  auto const& wal = std::get<pgoutput::xlog_data>(out);
  CHECK(wal.start == 0x10);
  CHECK(wal.end == 0x20);
  CHECK(wal.server_time == -3);
  CHECK(wal.payload == "Bxyz");
}

TEST_CASE("keepalive") {
  for (bool const wanted : {false, true}) {
    std::string const data = bytes('k').i64(0x1'0000'0001).i64(9).i8(wanted ? 1 : 0);
    pgoutput::frame out;
    REQUIRE_FALSE(pgoutput::decode_frame(data, out));
    auto const& idle = std::get<pgoutput::keepalive>(out);
    CHECK(idle.end == 0x1'0000'0001);
    CHECK(idle.server_time == 9);
    CHECK(idle.reply_requested == wanted);
  }
}

TEST_CASE("frames that are none") {
  struct {
    std::string data;
    char const* what;
  } const cases[] = {
      {"", "the message ends early"},
      {bytes('z').i64(1), "unknown kind of frame"},
      {bytes('k').i64(1).i64(2), "the message ends early"},
      {bytes('k').i64(1).i64(2).i8(0).i8(0), "bytes behind the end of the message"},
      {bytes('w').i64(1).i64(2).i32(3), "the message ends early"},
  };
  for (auto const& c : cases) {
    std::vector<char> const exact(c.data.begin(), c.data.end());
    pgoutput::frame out;
    auto const failure = pgoutput::decode_frame({exact.data(), exact.size()}, out);
    REQUIRE(failure);
    CHECK(failure->what == c.what);
  }
}

TEST_CASE("standby status") {
  auto const status = pgoutput::encode_standby_status(0x0102030405060708, 2, 3, -1, true);
  std::string const wanted = bytes('r').i64(0x0102030405060708).i64(2).i64(3).i64(-1).i8(1);
  CHECK(std::string(status.begin(), status.end()) == wanted);
  CHECK(pgoutput::encode_standby_status(1, 2, 3, 4, false).back() == 0);
}
