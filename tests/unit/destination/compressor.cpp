#include "destination/file/compressor.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "rows.hpp"

using etl::buffer;
using etl::config::compression_method;
using etl::destination::file::compressor;

TEST_CASE("pieces come back whole, one after another") {
  std::string const large(3'500'000, 'x');
  std::string mixed;
  for (int i = 0; i < 200'000; ++i) mixed += std::to_string(i * 7919);
  for (auto const method : {compression_method::none, compression_method::gzip, compression_method::zstd}) {
    CAPTURE(static_cast<int>(method));
    compressor packer(method);
    buffer packed;
    std::string wanted;
    for (auto const& piece : {std::string("{\"a\":1}\n"), std::string(), large, mixed, std::string("end\n")}) {
      REQUIRE(packer.pack(piece, packed));
      wanted += piece;
    }
    std::string const bytes(packed.view());
    bool const same = wanted == (method == compression_method::gzip   ? etl::test::unpack_gzip(bytes)
                                 : method == compression_method::zstd ? etl::test::unpack_zstd(bytes)
                                                                      : bytes);
    CHECK(same);
    if (method != compression_method::none) CHECK(bytes.size() < wanted.size() / 4);
  }
}
