#include "pgoutput/decoder.hpp"

#include "cursor.hpp"

namespace pgoutput {
namespace {

tuple read_tuple(cursor& in, std::vector<value>& scratch) {
  auto const count = in.i16();
  if (count < 0) {
    in.fail("a row has a negative number of columns");
    return {};
  }
  auto const size = static_cast<std::size_t>(count);
  if (in.remaining() < size) {  // a column takes a byte at least
    in.fail("a row has more columns than bytes");
    return {};
  }
  if (scratch.size() < size) scratch.resize(size);
  for (auto* at = scratch.data(); at != scratch.data() + size; ++at) {
    switch (in.letter()) {
      case 't':
        *at = {value_kind::text, in.counted()};
        break;
      case 'b':
        *at = {value_kind::binary, in.counted()};
        break;
      case 'n':
        *at = {value_kind::null, {}};
        break;
      case 'u':
        *at = {value_kind::unchanged, {}};
        break;
      default:
        in.fail("unknown kind of value");
    }
    if (in.failed()) return {};
  }
  return {scratch.data(), size};
}

std::span<relation_column const> read_columns(cursor& in, std::vector<relation_column>& scratch) {
  auto const count = in.i16();
  if (count < 0) in.fail("a relation has a negative number of columns");
  scratch.clear();
  for (int i = 0; i < count && !in.failed(); ++i) {
    scratch.push_back(
        {.key = (in.byte() & 1) != 0, .name = in.text(), .type_oid = in.u32(), .type_modifier = in.i32()});
  }
  return scratch;
}

std::span<std::uint32_t const> read_oids(cursor& in, std::int32_t count, std::vector<std::uint32_t>& scratch) {
  if (count < 0) in.fail("a TRUNCATE has a negative number of relations");
  scratch.clear();
  for (std::int32_t i = 0; i < count && !in.failed(); ++i) scratch.push_back(in.u32());
  return scratch;
}

old_row old_kind_of(char letter) {
  return letter == 'K' ? old_row::key : letter == 'O' ? old_row::full : old_row::none;
}

void expect_new_row(cursor& in, char letter) {
  if (letter != 'N') in.fail("no new row where one must be");
}

insert read_insert(cursor& in, std::uint32_t xid, std::vector<value>& scratch) {
  auto const oid = in.u32();
  expect_new_row(in, in.letter());
  return {.oid = oid, .new_row = read_tuple(in, scratch), .xid = xid};
}

update read_update(cursor& in, std::uint32_t xid, std::vector<value>& old_scratch, std::vector<value>& new_scratch) {
  update made{.oid = in.u32(), .old_kind = old_row::none, .old_values = {}, .new_row = {}, .xid = xid};
  auto letter = in.letter();
  made.old_kind = old_kind_of(letter);
  if (made.old_kind != old_row::none) {
    made.old_values = read_tuple(in, old_scratch);
    letter = in.letter();
  }
  expect_new_row(in, letter);
  made.new_row = read_tuple(in, new_scratch);
  return made;
}

remove read_remove(cursor& in, std::uint32_t xid, std::vector<value>& scratch) {
  remove made{.oid = in.u32(), .old_kind = old_kind_of(in.letter()), .old_values = {}, .xid = xid};
  if (made.old_kind == old_row::none) in.fail("no old row where one must be");
  made.old_values = read_tuple(in, scratch);
  return made;
}

truncate read_truncate(cursor& in, std::uint32_t xid, std::vector<std::uint32_t>& scratch) {
  auto const count = in.i32();
  auto const options = in.byte();
  return {.oids = read_oids(in, count, scratch),
          .cascade = (options & 1) != 0,
          .restart_identity = (options & 2) != 0,
          .xid = xid};
}

// Begin Prepare, Prepare and Stream Prepare differ in their letter alone (and in flags, which are read before).
template <class Message>
Message read_prepare(cursor& in) {
  return {.prepare_lsn = in.u64(), .end_lsn = in.u64(), .prepare_time = in.i64(), .xid = in.u32(), .gid = in.text()};
}

stream_abort read_stream_abort(cursor& in) {
  stream_abort made{.xid = in.u32(), .subxid = in.u32(), .at = {}};
  if (in.remaining() != 0) made.at = {.lsn = in.u64(), .time = in.i64()};
  return made;
}

}  // namespace

std::optional<failure> decoder::decode(std::string_view bytes, message& out) {
  cursor in(bytes);
  auto const kind = in.letter();
  // Messages about tables come with their transaction when several are interleaved.
  auto const xid = [&] { return in_stream_ ? in.u32() : 0; };
  switch (kind) {
    case 'I':
      out = read_insert(in, xid(), new_row_);
      break;
    case 'U':
      out = read_update(in, xid(), old_values_, new_row_);
      break;
    case 'D':
      out = read_remove(in, xid(), old_values_);
      break;
    case 'B':
      out = begin{.final_lsn = in.u64(), .commit_time = in.i64(), .xid = in.u32()};
      break;
    case 'C':
      in.unused_flags();
      out = commit{.commit_lsn = in.u64(), .end_lsn = in.u64(), .commit_time = in.i64()};
      break;
    case 'R': {
      auto const transaction = xid();
      out = relation{.oid = in.u32(),
                     .schema = in.text(),
                     .name = in.text(),
                     .replica_identity = in.letter(),
                     .columns = read_columns(in, columns_),
                     .xid = transaction};
      break;
    }
    case 'Y': {
      auto const transaction = xid();
      out = type{.oid = in.u32(), .schema = in.text(), .name = in.text(), .xid = transaction};
      break;
    }
    case 'T':
      out = read_truncate(in, xid(), oids_);
      break;
    case 'O':
      out = origin{.commit_lsn = in.u64(), .name = in.text()};
      break;
    case 'M': {
      auto const transaction = xid();
      out = logical_message{.transactional = (in.byte() & 1) != 0,
                            .lsn = in.u64(),
                            .prefix = in.text(),
                            .content = in.counted(),
                            .xid = transaction};
      break;
    }
    case 'S':
      if (in_stream_) in.fail("a streamed block inside another");
      out = stream_start{.xid = in.u32(), .first_segment = in.byte() != 0};
      in_stream_ = true;
      break;
    case 'E':
      if (!in_stream_) in.fail("the end of a streamed block that never began");
      out = stream_stop{};
      in_stream_ = false;
      break;
    case 'c': {
      auto const transaction = in.u32();
      in.unused_flags();
      out = stream_commit{.xid = transaction, .commit_lsn = in.u64(), .end_lsn = in.u64(), .commit_time = in.i64()};
      break;
    }
    case 'A':
      out = read_stream_abort(in);
      break;
    case 'b':
      out = read_prepare<begin_prepare>(in);
      break;
    case 'P':
      in.unused_flags();
      out = read_prepare<prepare>(in);
      break;
    case 'p':
      in.unused_flags();
      out = read_prepare<stream_prepare>(in);
      break;
    case 'K':
      in.unused_flags();
      out = commit_prepared{
          .commit_lsn = in.u64(), .end_lsn = in.u64(), .commit_time = in.i64(), .xid = in.u32(), .gid = in.text()};
      break;
    case 'r':
      in.unused_flags();
      out = rollback_prepared{.prepare_end_lsn = in.u64(),
                              .rollback_end_lsn = in.u64(),
                              .prepare_time = in.i64(),
                              .rollback_time = in.i64(),
                              .xid = in.u32(),
                              .gid = in.text()};
      break;
    default:
      in.fail("unknown kind of message");
  }
  return in.finish();
}

}  // namespace pgoutput
