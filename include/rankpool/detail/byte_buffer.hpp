/// @file
/// A growing buffer of raw bytes, and the error of bytes that don't fit what is read from them.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include <rankpool/export.hpp>

namespace rankpool::detail {

using Bytes = std::span<const std::byte>;

/// Encoded bytes that are too short, too long or otherwise not what the type expects.
class RANKPOOL_API DecodeError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  DecodeError(const DecodeError&) = default;
  DecodeError& operator=(const DecodeError&) = default;
  ~DecodeError() override;
};

/// @throws DecodeError saying that `what` needs `needed` bytes where `available` are left.
[[noreturn]] RANKPOOL_API void throw_too_short(const char* what, std::size_t needed, std::size_t available);

/// @throws DecodeError saying that `what` has `surplus` bytes after its end.
[[noreturn]] RANKPOOL_API void throw_too_long(const char* what, std::size_t surplus);

/// Like std::vector<std::byte>, but growing leaves the new bytes uninitialised.
class ByteBuffer {
 public:
  ByteBuffer() = default;
  ByteBuffer(ByteBuffer&& other) noexcept
      : data_(std::move(other.data_)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;
  ~ByteBuffer() = default;

  /// Room for `bytes` more, uninitialised; valid until the next append.
  std::byte* append(std::size_t bytes) {
    if (bytes > capacity_ - size_) [[unlikely]]
      grow(bytes);
    std::byte* room = data_.get() + size_;
    size_ += bytes;
    return room;
  }

  void append(const void* from, std::size_t bytes) {
    if (bytes != 0) std::memcpy(append(bytes), from, bytes);
  }

  void clear() noexcept { size_ = 0; }
  [[nodiscard]] std::byte* data() noexcept { return data_.get(); }
  [[nodiscard]] const std::byte* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] Bytes bytes() const noexcept { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept {
      std::free(memory);  // NOLINT: grown by realloc, which new[] has no equal for
    }
  };

  RANKPOOL_API void grow(std::size_t bytes);

  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace rankpool::detail
