#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace etl {

// Growable bytes that are not initialised when they grow. Encoders reserve the worst case of a row once, write through
// the raw pointer, and commit what they used: one capacity check a row.
class buffer {
 public:
  buffer() = default;
  buffer(buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  buffer& operator=(buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~buffer() { std::free(data_); }

  // Room for `more` bytes behind the end. Valid until the next call that may grow. Throws std::bad_alloc.
  [[nodiscard]] char* reserve(std::size_t more) {
    if (capacity_ - size_ < more) grow(more);
    return data_ + size_;
  }
  // Takes in `count` bytes that were written at reserve()'s pointer.
  void commit(std::size_t count) { size_ += count; }
  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(reserve(bytes.size()), bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  void push_back(char byte) {
    *reserve(1) = byte;
    ++size_;
  }
  // Drops what lies behind `size`; keeps the memory.
  void truncate(std::size_t size) { size_ = size; }
  void clear() { size_ = 0; }

  [[nodiscard]] char* data() { return data_; }
  [[nodiscard]] char const* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::string_view view() const { return {data_, size_}; }

 private:
  void grow(std::size_t more) {
    std::size_t wanted = capacity_ < 256 ? 256 : capacity_ + capacity_ / 2;
    if (wanted < size_ + more) wanted = size_ + more;
    auto* moved = static_cast<char*>(std::realloc(data_, wanted));
    if (moved == nullptr) throw std::bad_alloc();
    data_ = moved;
    capacity_ = wanted;
  }

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace etl
