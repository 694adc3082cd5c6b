#include "base/buffer.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <utility>

using etl::buffer;

TEST_CASE("a buffer holds what was appended, through every growth") {
  buffer b;
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    std::string const piece(static_cast<std::size_t>(i % 7), static_cast<char>('a' + i % 26));
    b.append(piece);
    expected += piece;
    b.push_back('\n');
    expected += '\n';
  }
  CHECK(b.size() == expected.size());
  CHECK(b.capacity() >= b.size());
  CHECK((b.view() == expected));
}

TEST_CASE("reserve gives room behind the end, and only what is committed counts") {
  buffer b;
  b.append("abc");
  std::memcpy(b.reserve(10'000), "defgh", 5);
  CHECK(b.view() == "abc");
  CHECK(b.capacity() >= 10'003);
  b.commit(2);
  CHECK(b.view() == "abcde");
}

TEST_CASE("truncate and clear keep the memory") {
  buffer b;
  b.append(std::string(1000, 'x'));
  auto const capacity = b.capacity();
  b.truncate(3);
  CHECK(b.view() == "xxx");
  b.clear();
  CHECK(b.empty());
  CHECK(b.capacity() == capacity);
  b.append("");
  CHECK(b.empty());
}

TEST_CASE("a moved buffer carries its bytes and leaves an empty one that can be used") {
  buffer a;
  a.append("first");
  buffer b = std::move(a);
  CHECK(b.view() == "first");
  CHECK(a.empty());  // NOLINT(bugprone-use-after-move): what is left behind is part of the contract
  a.append("second");
  CHECK(a.view() == "second");
  b = std::move(a);
  CHECK(b.view() == "second");
}
