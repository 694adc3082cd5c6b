#include "destination/file/compressor.hpp"

#include <zlib.h>
#include <zstd.h>

namespace etl::destination::file {
namespace {

constexpr std::size_t frame_size = 1 << 20;
constexpr int gzip_level = 5;
constexpr int zstd_level = 3;

error failure() { return {severity::retry, "destination.compression", "compressing rows failed, for want of memory"}; }

}  // namespace

void compressor::release::operator()(z_stream_s* stream) const {
  deflateEnd(stream);
  delete stream;
}

void compressor::release::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }

result<void> compressor::pack(std::string_view piece, buffer& out) {
  while (!piece.empty()) {
    auto const frame = piece.substr(0, frame_size);
    piece.remove_prefix(frame.size());
    switch (method_) {
      case config::compression_method::none:
        out.append(frame);
        break;
      case config::compression_method::gzip:
        if (auto packed = pack_gzip(frame, out); !packed) return packed;
        break;
      case config::compression_method::zstd:
        if (auto packed = pack_zstd(frame, out); !packed) return packed;
        break;
    }
  }
  return result<void>();
}

result<void> compressor::pack_gzip(std::string_view piece, buffer& out) {
  if (!gzip_) {
    auto stream = std::make_unique<z_stream>();
    constexpr int gzip_frame = 15 + 16;  // zlib manual, deflateInit2: 16 more than the window for a gzip header
    if (deflateInit2(stream.get(), gzip_level, Z_DEFLATED, gzip_frame, 8, Z_DEFAULT_STRATEGY) != Z_OK) return failure();
    gzip_.reset(stream.release());
  } else {
    deflateReset(gzip_.get());
  }
  auto const bound = deflateBound(gzip_.get(), piece.size());
  // zlib reads through a pointer to non-const, and leaves what is there alone.
  gzip_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
  gzip_->avail_in = static_cast<uInt>(piece.size());
  gzip_->next_out = reinterpret_cast<Bytef*>(out.reserve(bound));
  gzip_->avail_out = static_cast<uInt>(bound);
  if (deflate(gzip_.get(), Z_FINISH) != Z_STREAM_END) return failure();
  out.commit(bound - gzip_->avail_out);
  return result<void>();
}

result<void> compressor::pack_zstd(std::string_view piece, buffer& out) {
  if (!zstd_) zstd_.reset(ZSTD_createCCtx());
  if (!zstd_) return failure();
  auto const bound = ZSTD_compressBound(piece.size());
  auto const size = ZSTD_compressCCtx(zstd_.get(), out.reserve(bound), bound, piece.data(), piece.size(), zstd_level);
  if (ZSTD_isError(size) != 0) return failure();
  out.commit(size);
  return result<void>();
}

}  // namespace etl::destination::file
