#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "bytes.hpp"
#include "pgoutput/decoder.hpp"
#include "samples.hpp"

namespace {

using pgoutput::old_row;
using pgoutput::value_kind;

// Decodes one message with a decoder that is where the message needs it. The bytes and the decoder live as long as
// this does, as the message borrows from both.
class decoded {
 public:
  explicit decoded(std::string input, bool in_stream = false) : bytes_(std::move(input)) {
    if (in_stream && decoder_.decode(std::string(bytes('S').i32(701).i8(1)), message_)) FAIL("no stream to be in");
    failure_ = decoder_.decode(bytes_, message_);
  }
  template <class Message>
  Message const& as() const {
    INFO(bytes_.front());
    if (failure_) FAIL(std::string(failure_->what) + " at " + std::to_string(failure_->offset));
    REQUIRE(std::holds_alternative<Message>(message_));
    return std::get<Message>(message_);
  }
  std::string problem() const {
    return failure_ ? std::string(failure_->what) + " @" + std::to_string(failure_->offset) : "";
  }

 private:
  std::string bytes_;
  pgoutput::decoder decoder_;
  pgoutput::message message_;
  std::optional<pgoutput::failure> failure_;
};

std::string spell(pgoutput::tuple row) {
  std::string text;
  for (auto const& v : row) {
    if (!text.empty()) text += ' ';
    switch (v.kind) {
      case value_kind::null:
        text += "null";
        break;
      case value_kind::unchanged:
        text += "unchanged";
        break;
      case value_kind::text:
        text += "t:" + std::string(v.data);
        break;
      case value_kind::binary:
        text += "b:" + std::to_string(v.data.size());
        break;
    }
  }
  return text;
}

std::string sample_named(std::string const& name) {
  for (auto const& s : samples()) {
    if (s.name == name) return s.message;
  }
  FAIL("no sample " + name);
  return {};
}

}  // namespace

TEST_CASE("transaction boundaries") {
  decoded const begun(sample_named("begin"));
  auto const& begin = begun.as<pgoutput::begin>();
  CHECK(begin.final_lsn == 0x1'0000'0010);
  CHECK(begin.commit_time == -1);
  CHECK(begin.xid == 700);

  decoded const ended(sample_named("commit"));
  auto const& commit = ended.as<pgoutput::commit>();
  CHECK(commit.commit_lsn == 0x10);
  CHECK(commit.end_lsn == 0x18);
  CHECK(commit.commit_time == 5);

  decoded const came(sample_named("origin"));
  CHECK(came.as<pgoutput::origin>().commit_lsn == 0x20);
  CHECK(came.as<pgoutput::origin>().name == "node_a");
}

TEST_CASE("a relation names its columns") {
  for (bool const in_stream : {false, true}) {
    decoded const one(sample_named(in_stream ? "relation_streamed" : "relation"), in_stream);
    auto const& relation = one.as<pgoutput::relation>();
    CHECK(relation.xid == (in_stream ? 701 : 0));
    CHECK(relation.oid == 16384);
    CHECK(relation.schema == "public");
    CHECK(relation.name == "orders");
    CHECK(relation.replica_identity == 'd');
    REQUIRE(relation.columns.size() == 2);
    CHECK(relation.columns[0].key);
    CHECK(relation.columns[0].name == "id");
    CHECK(relation.columns[0].type_oid == 20);
    CHECK(relation.columns[0].type_modifier == -1);
    CHECK_FALSE(relation.columns[1].key);
    CHECK(relation.columns[1].name == "note");
    CHECK(relation.columns[1].type_modifier == 36);
  }
}

TEST_CASE("a type, of a schema or of pg_catalog") {
  decoded const one(sample_named("type"));
  CHECK(one.as<pgoutput::type>().oid == 16400);
  CHECK(one.as<pgoutput::type>().schema == "public");
  CHECK(one.as<pgoutput::type>().name == "mood");
  decoded const other(sample_named("type_streamed"), true);
  CHECK(other.as<pgoutput::type>().xid == 701);
  CHECK(other.as<pgoutput::type>().schema.empty());
}

TEST_CASE("rows") {
  std::string const row = "t:42 null unchanged b:2";
  SECTION("insert") {
    for (bool const in_stream : {false, true}) {
      decoded const one(sample_named(in_stream ? "insert_streamed" : "insert"), in_stream);
      CHECK(one.as<pgoutput::insert>().oid == 16384);
      CHECK(one.as<pgoutput::insert>().xid == (in_stream ? 701 : 0));
      CHECK(spell(one.as<pgoutput::insert>().new_row) == row);
    }
    CHECK(decoded(sample_named("insert_no_columns")).as<pgoutput::insert>().new_row.empty());
  }
  SECTION("update") {
    struct {
      char const* name;
      old_row old_kind;
      std::string old_values;
    } const cases[] = {{"update", old_row::none, ""},
                       {"update_key", old_row::key, "t:41 null"},
                       {"update_full", old_row::full, row},
                       {"update_streamed", old_row::none, ""}};
    for (auto const& c : cases) {
      INFO(c.name);
      bool const in_stream = std::string_view(c.name).ends_with("streamed");
      decoded const one(sample_named(c.name), in_stream);
      auto const& update = one.as<pgoutput::update>();
      CHECK(update.oid == 16384);
      CHECK(update.xid == (in_stream ? 701 : 0));
      CHECK(update.old_kind == c.old_kind);
      CHECK(spell(update.old_values) == c.old_values);
      CHECK(spell(update.new_row) == row);
    }
  }
  SECTION("delete") {
    struct {
      char const* name;
      old_row old_kind;
      std::string old_values;
    } const cases[] = {{"delete_key", old_row::key, "t:41 null"},
                       {"delete_full", old_row::full, row},
                       {"delete_streamed", old_row::full, row}};
    for (auto const& c : cases) {
      INFO(c.name);
      bool const in_stream = std::string_view(c.name).ends_with("streamed");
      decoded const one(sample_named(c.name), in_stream);
      auto const& remove = one.as<pgoutput::remove>();
      CHECK(remove.oid == 16384);
      CHECK(remove.xid == (in_stream ? 701 : 0));
      CHECK(remove.old_kind == c.old_kind);
      CHECK(spell(remove.old_values) == c.old_values);
    }
  }
}

TEST_CASE("truncate") {
  decoded const one(sample_named("truncate"));
  auto const& both = one.as<pgoutput::truncate>();
  CHECK(std::vector(both.oids.begin(), both.oids.end()) == std::vector<std::uint32_t>{16384, 16390});
  CHECK(both.cascade);
  CHECK(both.restart_identity);
  decoded const other(sample_named("truncate_streamed"), true);
  CHECK(other.as<pgoutput::truncate>().xid == 701);
  CHECK(other.as<pgoutput::truncate>().oids.size() == 1);
  CHECK_FALSE(other.as<pgoutput::truncate>().cascade);
  CHECK_FALSE(other.as<pgoutput::truncate>().restart_identity);
}

TEST_CASE("logical messages") {
  decoded const one(sample_named("message"));
  auto const& message = one.as<pgoutput::logical_message>();
  CHECK(message.transactional);
  CHECK(message.lsn == 0x30);
  CHECK(message.prefix == "etl");
  CHECK(message.content == "hello");
  CHECK(message.xid == 0);
  decoded const other(sample_named("message_streamed"), true);
  CHECK(other.as<pgoutput::logical_message>().xid == 701);
  CHECK_FALSE(other.as<pgoutput::logical_message>().transactional);
  CHECK(other.as<pgoutput::logical_message>().content.empty());
}

TEST_CASE("streamed transactions") {
  decoded const start(sample_named("stream_start"));
  CHECK(start.as<pgoutput::stream_start>().xid == 701);
  CHECK(start.as<pgoutput::stream_start>().first_segment);
  decoded(sample_named("stream_stop"), true).as<pgoutput::stream_stop>();

  decoded const ended(sample_named("stream_commit"));
  auto const& commit = ended.as<pgoutput::stream_commit>();
  CHECK(commit.xid == 701);
  CHECK(commit.commit_lsn == 0x10);
  CHECK(commit.end_lsn == 0x18);
  CHECK(commit.commit_time == 5);

  decoded const undone(sample_named("stream_abort"));
  CHECK(undone.as<pgoutput::stream_abort>().xid == 701);
  CHECK(undone.as<pgoutput::stream_abort>().subxid == 702);
  CHECK_FALSE(undone.as<pgoutput::stream_abort>().at);
  decoded const parallel(sample_named("stream_abort_parallel"));
  REQUIRE(parallel.as<pgoutput::stream_abort>().at);
  CHECK(parallel.as<pgoutput::stream_abort>().at->lsn == 0x40);
  CHECK(parallel.as<pgoutput::stream_abort>().at->time == 6);

  SECTION("blocks do not nest, and messages lose their transaction at the end of one") {
    pgoutput::decoder decoder;
    pgoutput::message out;
    REQUIRE_FALSE(decoder.decode(sample_named("stream_start"), out));
    REQUIRE_FALSE(decoder.decode(sample_named("insert_streamed"), out));
    REQUIRE_FALSE(decoder.decode(sample_named("stream_stop"), out));
    REQUIRE_FALSE(decoder.decode(sample_named("insert"), out));
    CHECK(std::get<pgoutput::insert>(out).xid == 0);
    CHECK(decoder.decode(sample_named("stream_stop"), out));
    CHECK(decoded(sample_named("stream_start"), true).problem() == "a streamed block inside another @1");
  }
}

TEST_CASE("two-phase commit") {
  auto const check = [](auto const& m) {
    CHECK(m.prepare_lsn == 0x1000);
    CHECK(m.end_lsn == 0x1010);
    CHECK(m.prepare_time == 7);
    CHECK(m.xid == 700);
    CHECK(m.gid == "gid 1");
  };
  check(decoded(sample_named("begin_prepare")).as<pgoutput::begin_prepare>());
  check(decoded(sample_named("prepare")).as<pgoutput::prepare>());
  check(decoded(sample_named("stream_prepare")).as<pgoutput::stream_prepare>());

  decoded const done(sample_named("commit_prepared"));
  auto const& committed = done.as<pgoutput::commit_prepared>();
  CHECK(committed.commit_lsn == 0x1000);
  CHECK(committed.end_lsn == 0x1010);
  CHECK(committed.commit_time == 7);
  CHECK(committed.gid == "gid 1");

  decoded const undone(sample_named("rollback_prepared"));
  auto const& rolled_back = undone.as<pgoutput::rollback_prepared>();
  CHECK(rolled_back.prepare_end_lsn == 0x10);
  CHECK(rolled_back.rollback_end_lsn == 0x18);
  CHECK(rolled_back.prepare_time == 5);
  CHECK(rolled_back.rollback_time == 6);
  CHECK(rolled_back.xid == 700);
  CHECK(rolled_back.gid == "gid 1");
}

TEST_CASE("malformed messages are refused where they go wrong") {
  struct {
    std::string message;
    char const* problem;
  } const cases[] = {
      {"", "the message ends early @0"},
      {bytes('?'), "unknown kind of message @1"},
      {bytes('B').i64(1).i64(2).i32(3).i8(0), "bytes behind the end of the message @21"},
      {bytes('C').i8(1).i64(1).i64(2).i64(3), "unknown flags @2"},
      {bytes('O').i64(1).raw("no zero"), "a name has no end @9"},
      {bytes('I').i32(1).letter('K').i16(0), "no new row where one must be @6"},
      {bytes('I').i32(1).letter('N').i16(-1), "a row has a negative number of columns @8"},
      {bytes('I').i32(1).letter('N').i16(3).letter('n'), "a row has more columns than bytes @8"},
      {bytes('I').i32(1).letter('N').i16(1).letter('x'), "unknown kind of value @9"},
      {bytes('I').i32(1).letter('N').i16(1).letter('t').i32(-1), "a length is negative @13"},
      {bytes('I').i32(1).letter('N').i16(1).letter('t').i32(0x7fffffff), "a value is longer than its message @13"},
      {bytes('I').i32(1).letter('N').i16(1).letter('b').i32(2).raw("x"), "a value is longer than its message @13"},
      {bytes('I').i32(1).letter('N').i16(1).letter('n').letter('n'), "bytes behind the end of the message @9"},
      {bytes('U').i32(1).letter('K').i16(0).letter('K').i16(0), "no new row where one must be @9"},
      {bytes('D').i32(1).letter('N').i16(0), "no old row where one must be @6"},
      {bytes('R').i32(1).name("s").name("t").letter('d').i16(-2), "a relation has a negative number of columns @12"},
      {bytes('T').i32(-1).i8(0), "a TRUNCATE has a negative number of relations @6"},
      {bytes('T').i32(0x7fffffff).i8(0), "the message ends early @6"},
      {bytes('M').i8(1).i64(1).name("p").i32(-5), "a length is negative @16"},
      {bytes('E'), "the end of a streamed block that never began @1"},
      {bytes('A').i32(1).i32(2).i64(3), "the message ends early @17"},
  };
  for (auto const& c : cases) {
    INFO(c.problem);
    CHECK(decoded(c.message).problem() == c.problem);
  }
}

// The copies are exactly as long as what is decoded, so that the address sanitizer sees a read beyond it.
TEST_CASE("a message cut short at any byte fails") {
  for (auto const& s : samples()) {
    REQUIRE(decoded(s.message, s.in_stream).problem() == "");
    for (std::size_t size = 0; size < s.message.size(); ++size) {
      // Without its last 16 bytes, this one is the shorter form of the same message.
      if (std::string_view(s.name) == "stream_abort_parallel" && size + 16 == s.message.size()) continue;
      INFO(s.name << " cut to " << size);
      std::vector<char> const cut(s.message.begin(), s.message.begin() + static_cast<std::ptrdiff_t>(size));
      pgoutput::decoder decoder;
      pgoutput::message out;
      if (s.in_stream) REQUIRE_FALSE(decoder.decode(sample_named("stream_start"), out));
      CHECK(decoder.decode({cut.data(), cut.size()}, out));
    }
  }
}

TEST_CASE("a message with any byte changed is decoded or refused, within its bounds") {
  std::size_t refused = 0;
  for (auto const& s : samples()) {
    for (std::size_t i = 0; i < s.message.size(); ++i) {
      for (int const flip : {0x01, 0x7f, 0x80, 0xff}) {
        std::vector<char> changed(s.message.begin(), s.message.end());
        changed[i] = static_cast<char>(changed[i] ^ flip);
        pgoutput::decoder decoder;
        pgoutput::message out;
        if (s.in_stream) REQUIRE_FALSE(decoder.decode(sample_named("stream_start"), out));
        auto const failure = decoder.decode({changed.data(), changed.size()}, out);
        if (failure) {
          ++refused;
          CHECK(failure->offset <= changed.size());
        }
      }
    }
  }
  CHECK(refused > 0);
}
