#pragma once

#include <string>
#include <vector>

#include "bytes.hpp"

// One good message of every kind and shape: what the truncation tests cut, and where fuzzing starts.
struct sample {
  char const* name;
  bool in_stream;  // the message follows a stream_start
  std::string message;
};

inline std::vector<sample> samples() {
  auto const row = [](bytes made) {
    return made.i16(4).text("42").letter('n').letter('u').binary(std::string_view("\0\1", 2));
  };
  auto const relation = [](bytes made) {
    return made.i32(16384)
        .name("public")
        .name("orders")
        .letter('d')
        .i16(2)
        .i8(1)
        .name("id")
        .i32(20)
        .i32(-1)
        .i8(0)
        .name("note")
        .i32(1043)
        .i32(36);
  };
  auto const prepared = [](bytes made) { return made.i64(0x1000).i64(0x1010).i64(7).i32(700).name("gid 1"); };
  return {
      {"begin", false, bytes('B').i64(0x1'0000'0010).i64(-1).i32(700)},
      {"commit", false, bytes('C').i8(0).i64(0x10).i64(0x18).i64(5)},
      {"origin", false, bytes('O').i64(0x20).name("node_a")},
      {"relation", false, relation(bytes('R'))},
      {"relation_streamed", true, relation(bytes('R').i32(701))},
      {"type", false, bytes('Y').i32(16400).name("public").name("mood")},
      {"type_streamed", true, bytes('Y').i32(701).i32(16400).name("").name("mood")},
      {"insert", false, row(bytes('I').i32(16384).letter('N'))},
      {"insert_streamed", true, row(bytes('I').i32(701).i32(16384).letter('N'))},
      {"insert_no_columns", false, bytes('I').i32(16384).letter('N').i16(0)},
      {"update", false, row(bytes('U').i32(16384).letter('N'))},
      {"update_key", false, row(bytes('U').i32(16384).letter('K').i16(2).text("41").letter('n').letter('N'))},
      {"update_full", false, row(row(bytes('U').i32(16384).letter('O')).letter('N'))},
      {"update_streamed", true, row(bytes('U').i32(701).i32(16384).letter('N'))},
      {"delete_key", false, bytes('D').i32(16384).letter('K').i16(2).text("41").letter('n')},
      {"delete_full", false, row(bytes('D').i32(16384).letter('O'))},
      {"delete_streamed", true, row(bytes('D').i32(701).i32(16384).letter('O'))},
      {"truncate", false, bytes('T').i32(2).i8(3).i32(16384).i32(16390)},
      {"truncate_streamed", true, bytes('T').i32(701).i32(1).i8(0).i32(16384)},
      {"message", false, bytes('M').i8(1).i64(0x30).name("etl").counted("hello")},
      {"message_streamed", true, bytes('M').i32(701).i8(0).i64(0x30).name("").counted("")},
      {"stream_start", false, bytes('S').i32(701).i8(1)},
      {"stream_stop", true, bytes('E')},
      {"stream_commit", false, bytes('c').i32(701).i8(0).i64(0x10).i64(0x18).i64(5)},
      {"stream_abort", false, bytes('A').i32(701).i32(702)},
      {"stream_abort_parallel", false, bytes('A').i32(701).i32(701).i64(0x40).i64(6)},
      {"begin_prepare", false, prepared(bytes('b'))},
      {"prepare", false, prepared(bytes('P').i8(0))},
      {"stream_prepare", false, prepared(bytes('p').i8(0))},
      {"commit_prepared", false, prepared(bytes('K').i8(0))},
      {"rollback_prepared", false, bytes('r').i8(0).i64(0x10).i64(0x18).i64(5).i64(6).i32(700).name("gid 1")},
  };
}
