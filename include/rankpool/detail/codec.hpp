/// @file
/// Values and argument lists as bytes, and back.
///
///   fixed-size types                   copied (see fixed_size.hpp); nothing else is sent
///   vectors and strings of such        their elements' bytes; the length follows from the number of bytes
///   everything else                    the archive of archive.hpp
///
/// A list of arguments is one fixed block when all have a fixed size; a single argument is itself; otherwise each
/// argument without a fixed size has its length before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <rankpool/detail/byte_buffer.hpp>
#include <rankpool/detail/fixed_size.hpp>
#include <rankpool/serialization.hpp>

namespace rankpool::detail {

/// How a T given by the user travels: decayed, a string literal as std::string.
template <class T>
struct TravelType {
  using type = std::decay_t<T>;
};
template <class T, std::size_t N>
requires(std::is_same_v<std::remove_const_t<T>, char>) struct TravelType<T (&)[N]> {
  using type = std::string;
};
template <class T>
using travel_type_t = typename TravelType<std::remove_reference_t<T>&>::type;

/// Something that gives memory for the number of bytes asked for: `std::byte* reserve(std::size_t bytes)`.
template <class F>
concept byte_supplier = std::is_invocable_r_v<std::byte*, F&, std::size_t>;

/// A supplier that appends to a buffer.
class Appender {
 public:
  explicit Appender(ByteBuffer& buffer) : buffer_(&buffer) {}
  std::byte* operator()(std::size_t bytes) const { return buffer_->append(bytes); }

 private:
  ByteBuffer* buffer_;
};

/// The calling thread's buffer for archives, empty; back in its place afterwards, so that nothing is allocated again.
class RANKPOOL_API ScratchBuffer {
 public:
  ScratchBuffer();
  ScratchBuffer(const ScratchBuffer&) = delete;
  ScratchBuffer& operator=(const ScratchBuffer&) = delete;
  ~ScratchBuffer();

  ByteBuffer* operator->() { return &buffer_; }
  ByteBuffer& operator*() { return buffer_; }

 private:
  ByteBuffer buffer_;
};

/// Its encoded size is known without encoding it.
template <class T>
concept cheap_size = fixed_size<T> || contiguous_container<T>;

/// @returns the size of `value` once encoded.
template <cheap_size T>
[[nodiscard]] std::size_t encoded_size(const T& value) {
  if constexpr (fixed_size<T>)
    return fixed_bytes<T>;
  else
    return value.size() * fixed_bytes<typename T::value_type>;
}

/// Encodes into encoded_size(value) bytes at `to`.
template <cheap_size T>
void encode_to(const T& value, std::byte* to) {
  if constexpr (fixed_size<T>)
    encode_fixed(value, to);
  else
    encode_fixed_run(value.data(), value.size(), to);
}

/// Appends encoded `value`. Throws what the type's serialization throws.
template <class T>
void encode_append(const T& value, ByteBuffer& buffer) {
  if constexpr (cheap_size<T>) {
    encode_to(value, buffer.append(encoded_size(value)));
  } else {
    OutputArchive archive(buffer);
    save_value(archive, value);
  }
}

/// Encodes `value` into memory asked of `reserve`, once.
/// @returns the number of bytes. Throws what the type's serialization throws, before memory is asked for.
template <class T>
std::size_t encode(byte_supplier auto&& reserve, const T& value) {
  if constexpr (cheap_size<T>) {
    const std::size_t bytes = encoded_size(value);
    encode_to(value, reserve(bytes));
    return bytes;
  } else {
    ScratchBuffer scratch;
    encode_append(value, *scratch);
    std::memcpy(reserve(scratch->size()), scratch->data(), scratch->size());
    return scratch->size();
  }
}

/// @throws DecodeError when `bytes` is not exactly one encoded T, and what T's serialization throws.
template <class T>
[[nodiscard, gnu::always_inline]] inline T decode(Bytes bytes) {  // once for each task
  if constexpr (fixed_size<T>) {
    if (bytes.size() < fixed_bytes<T>) [[unlikely]]
      throw_too_short("a value", fixed_bytes<T>, bytes.size());
    if (bytes.size() > fixed_bytes<T>) [[unlikely]]
      throw_too_long("a value", bytes.size() - fixed_bytes<T>);
    return decode_fixed<T>(bytes.data());
  } else if constexpr (contiguous_container<T>) {
    constexpr std::size_t stride = fixed_bytes<typename T::value_type>;
    if (bytes.size() % stride != 0) [[unlikely]]
      throw_too_long("a container", bytes.size() % stride);
    return decode_fixed_container<T>(bytes.data(), bytes.size() / stride);
  } else {
    InputArchive archive(bytes);
    T value = load_value<T>(archive);
    archive.finish();
    return value;
  }
}

/// Bytes per encoded argument list; `not_fixed` when they depend on the values.
template <class... Args>
inline constexpr std::size_t args_stride = sum_of_fixed_bytes<Args...>;

/// Takes `length` bytes off the front of `rest`.
[[nodiscard]] inline Bytes take_bytes(Bytes& rest, std::uint64_t length) {
  if (rest.size() < length) [[unlikely]]
    throw_too_short("an argument or result", static_cast<std::size_t>(length), rest.size());
  const Bytes taken = rest.first(static_cast<std::size_t>(length));
  rest = rest.subspan(taken.size());
  return taken;
}

/// Appends what `write` appends, with its length before it.
template <class Write>
void append_frame(ByteBuffer& buffer, Write&& write) {
  const std::size_t frame = buffer.size();
  buffer.append(sizeof(std::uint64_t));
  write();
  const std::uint64_t length = buffer.size() - frame - sizeof(length);
  std::memcpy(buffer.data() + frame, &length, sizeof(length));
}

/// Appends one argument of a list whose size varies.
template <class T>
void append_argument(const T& value, ByteBuffer& buffer) {
  if constexpr (fixed_size<T>)
    encode_append(value, buffer);
  else
    append_frame(buffer, [&] { encode_append(value, buffer); });
}

/// Takes a length and the bytes it counts off the front of `rest`.
[[nodiscard]] inline Bytes take_frame(Bytes& rest) {
  return take_bytes(rest, decode<std::uint64_t>(take_bytes(rest, sizeof(std::uint64_t))));
}

/// Takes the next argument of a list whose size varies off the front of `rest`.
template <class T>
[[nodiscard]] T take_argument(Bytes& rest) {
  if constexpr (fixed_size<T>)
    return decode<T>(take_bytes(rest, fixed_bytes<T>));
  else
    return decode<T>(take_frame(rest));
}

/// Appends an encoded argument list.
template <class... Args>
void encode_args_append(ByteBuffer& buffer, const Args&... args) {
  if constexpr (args_stride<Args...> != not_fixed) {
    [[maybe_unused]] std::byte* to = buffer.append(args_stride<Args...>);
    ((encode_fixed(args, to), to += fixed_bytes<Args>), ...);
  } else if constexpr (sizeof...(Args) == 1) {
    (encode_append(args, buffer), ...);
  } else {
    (append_argument(args, buffer), ...);
  }
}

/// Encodes an argument list into memory asked of `reserve`, once.
/// @returns the number of bytes.
template <class... Args>
std::size_t encode_args(byte_supplier auto&& reserve, const Args&... args) {
  if constexpr (args_stride<Args...> != not_fixed) {
    [[maybe_unused]] std::byte* to = reserve(args_stride<Args...>);
    ((encode_fixed(args, to), to += fixed_bytes<Args>), ...);
    return args_stride<Args...>;
  } else if constexpr (sizeof...(Args) == 1) {
    return (encode(reserve, args), ...);
  } else {
    ScratchBuffer scratch;
    encode_args_append(*scratch, args...);
    std::memcpy(reserve(scratch->size()), scratch->data(), scratch->size());
    return scratch->size();
  }
}

template <class Tuple>
struct ArgsDecoder;

template <class... Args>
struct ArgsDecoder<std::tuple<Args...>> {
  static std::tuple<Args...> decode(Bytes bytes) {
    if constexpr (sizeof...(Args) == 1) {
      return std::tuple<Args...>{detail::decode<Args>(bytes)...};
    } else if constexpr (args_stride<Args...> != not_fixed) {
      return detail::decode<std::tuple<Args...>>(bytes);
    } else {
      std::tuple<Args...> args{take_argument<Args>(bytes)...};
      if (!bytes.empty()) [[unlikely]]
        throw_too_long("an argument list", bytes.size());
      return args;
    }
  }
};

/// @param Tuple std::tuple of the types that were encoded.
/// @throws DecodeError when `bytes` is not exactly one such list, and what the types' serialization throws.
template <class Tuple>
[[nodiscard, gnu::always_inline]] inline Tuple decode_args(Bytes bytes) {
  return ArgsDecoder<Tuple>::decode(bytes);
}

}  // namespace rankpool::detail
