#pragma once

#include <memory>
#include <string_view>

#include "base/buffer.hpp"
#include "base/error.hpp"
#include "config/pipeline_config.hpp"

struct z_stream_s;
struct ZSTD_CCtx_s;

namespace etl::destination::file {

// Turns pieces of a segment into gzip members or Zstandard frames, each complete in itself: one compressor serves all
// segments.
class compressor {
 public:
  explicit compressor(config::compression_method method) : method_(method) {}

  // Appends the packed bytes to `out`; errors are bugs or a lack of memory. Pieces of less than some 100 KiB compress
  // worse; of a large piece, 1 MiB at a time goes into one frame, so memory stays bounded.
  result<void> pack(std::string_view piece, buffer& out);

 private:
  struct release {
    void operator()(z_stream_s* stream) const;
    void operator()(ZSTD_CCtx_s* context) const;
  };
  result<void> pack_gzip(std::string_view piece, buffer& out);
  result<void> pack_zstd(std::string_view piece, buffer& out);

  config::compression_method method_;
  std::unique_ptr<z_stream_s, release> gzip_;
  std::unique_ptr<ZSTD_CCtx_s, release> zstd_;
};

}  // namespace etl::destination::file
