/// @file
/// Numbers and texts one after the other in bytes, each length checked.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <rankpool/detail/byte_buffer.hpp>

namespace rankpool::task {

template <std::integral Number>
void put_number(detail::ByteBuffer& to, Number number) {
  to.append(&number, sizeof(number));
}

inline void put_bytes(detail::ByteBuffer& to, detail::Bytes bytes) {
  put_number<std::uint64_t>(to, bytes.size());
  to.append(bytes.data(), bytes.size());
}

inline void put_text(detail::ByteBuffer& to, std::string_view text) {
  put_bytes(to, std::as_bytes(std::span(text.data(), text.size())));
}

/// Takes fields off the front. Every member throws detail::DecodeError when too few bytes are left.
class FieldReader {
 public:
  explicit FieldReader(detail::Bytes from) : left_(from) {}

  template <std::integral Number>
  Number number() {
    Number number = 0;
    std::memcpy(&number, take(sizeof(number)).data(), sizeof(number));
    return number;
  }

  detail::Bytes bytes() {
    const auto size = number<std::uint64_t>();
    return take(size);
  }

  std::string text() {
    const detail::Bytes chars = bytes();
    return {reinterpret_cast<const char*>(chars.data()), chars.size()};
  }

  [[nodiscard]] detail::Bytes left() const { return left_; }

  void finish() const {
    if (!left_.empty()) detail::throw_too_long("the report of an exception", left_.size());
  }

 private:
  detail::Bytes take(std::uint64_t size) {
    if (size > left_.size()) detail::throw_too_short("the report of an exception", size, left_.size());
    const detail::Bytes taken = left_.first(size);
    left_ = left_.subspan(size);
    return taken;
  }

  detail::Bytes left_;
};

}  // namespace rankpool::task
