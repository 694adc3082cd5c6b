#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

// What the output plugin pgoutput sends: PostgreSQL 14 to 18, "Logical Replication Message Formats", protocol versions
// 1 to 4. LSNs are byte positions in the WAL; times are microseconds since 2000-01-01 UTC. Names and values are in the
// client encoding of the replication connection.
namespace pgoutput {

enum class value_kind : std::uint8_t {
  null,
  unchanged,  // a TOASTed value that an UPDATE did not touch and that was therefore not sent
  text,       // as the type's output function writes it
  binary,     // as the type's send function writes it
};

struct value {
  value_kind kind = value_kind::null;
  std::string_view data;  // empty unless text or binary
};

// The columns of a row in the order of the Relation message.
using tuple = std::span<value const>;

// Which old values come with an UPDATE or DELETE.
enum class old_row : std::uint8_t {
  none,
  key,   // the replica identity's columns; all others are null
  full,  // REPLICA IDENTITY FULL
};

struct begin {
  std::uint64_t final_lsn;  // of the commit record; the `commit_lsn` that Commit will carry
  std::int64_t commit_time;
  std::uint32_t xid;
};

struct commit {
  std::uint64_t commit_lsn;
  std::uint64_t end_lsn;  // just behind the transaction
  std::int64_t commit_time;
};

struct origin {
  std::uint64_t commit_lsn;  // on the origin server
  std::string_view name;
};

// `xid` here and below: the (sub)transaction of a message inside a streamed block, zero outside of one.

struct relation_column {
  bool key;  // part of the replica identity
  std::string_view name;
  std::uint32_t type_oid;
  std::int32_t type_modifier;
};

// Precedes the first row of a relation, and the first one after its schema changed.
struct relation {
  std::uint32_t oid;
  std::string_view schema;  // empty means pg_catalog
  std::string_view name;
  char replica_identity;  // pg_class.relreplident: d n f i
  std::span<relation_column const> columns;
  std::uint32_t xid = 0;
};

// Names a column's type that is not built in; precedes the Relation message.
struct type {
  std::uint32_t oid;
  std::string_view schema;  // empty means pg_catalog
  std::string_view name;
  std::uint32_t xid = 0;
};

struct insert {
  std::uint32_t oid;
  tuple new_row;
  std::uint32_t xid = 0;
};

struct update {
  std::uint32_t oid;
  old_row old_kind;
  tuple old_values;
  tuple new_row;
  std::uint32_t xid = 0;
};

struct remove {
  std::uint32_t oid;
  old_row old_kind;  // never none
  tuple old_values;
  std::uint32_t xid = 0;
};

struct truncate {
  std::span<std::uint32_t const> oids;
  bool cascade;
  bool restart_identity;
  std::uint32_t xid = 0;
};

// What pg_logical_emit_message() wrote.
struct logical_message {
  bool transactional;
  std::uint64_t lsn;
  std::string_view prefix;
  std::string_view content;
  std::uint32_t xid = 0;
};

// Large transactions sent before they end (protocol version 2): messages between a start and a stop belong to `xid`.

struct stream_start {
  std::uint32_t xid;
  bool first_segment;
};

struct stream_stop {};

struct stream_commit {
  std::uint32_t xid;
  std::uint64_t commit_lsn;
  std::uint64_t end_lsn;
  std::int64_t commit_time;
};

struct stream_abort {
  struct place {
    std::uint64_t lsn;
    std::int64_t time;
  };
  std::uint32_t xid;
  std::uint32_t subxid;     // equals xid when the whole transaction is undone
  std::optional<place> at;  // only under streaming 'parallel' (protocol version 4)
};

// Two-phase commit (protocol version 3). `gid` is the user's name for the prepared transaction.

struct begin_prepare {
  std::uint64_t prepare_lsn;
  std::uint64_t end_lsn;
  std::int64_t prepare_time;
  std::uint32_t xid;
  std::string_view gid;
};

struct prepare {
  std::uint64_t prepare_lsn;
  std::uint64_t end_lsn;
  std::int64_t prepare_time;
  std::uint32_t xid;
  std::string_view gid;
};

struct stream_prepare {
  std::uint64_t prepare_lsn;
  std::uint64_t end_lsn;
  std::int64_t prepare_time;
  std::uint32_t xid;
  std::string_view gid;
};

struct commit_prepared {
  std::uint64_t commit_lsn;
  std::uint64_t end_lsn;
  std::int64_t commit_time;
  std::uint32_t xid;
  std::string_view gid;
};

struct rollback_prepared {
  std::uint64_t prepare_end_lsn;
  std::uint64_t rollback_end_lsn;
  std::int64_t prepare_time;
  std::int64_t rollback_time;
  std::uint32_t xid;
  std::string_view gid;
};

using message = std::variant<begin, commit, origin, relation, type, insert, update, remove, truncate, logical_message,
                             stream_start, stream_stop, stream_commit, stream_abort, begin_prepare, prepare,
                             stream_prepare, commit_prepared, rollback_prepared>;

// Why bytes are not a message: where decoding stopped, and a literal that says what is wrong there. Never quotes input.
struct failure {
  std::size_t offset;
  std::string_view what;
};

}  // namespace pgoutput
