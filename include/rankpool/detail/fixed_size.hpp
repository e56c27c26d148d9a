/// @file
/// Types whose encoding has a size known at compile time: bitwise ones, and pairs, tuples, arrays and optionals of
/// such. Encoding them is a memcpy, or one for each member.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>

#include <rankpool/detail/bitwise.hpp>

namespace rankpool::detail {

/// In place of a size that depends on the value.
inline constexpr std::size_t not_fixed = static_cast<std::size_t>(-1);

/// Size of an encoded T, or not_fixed.
template <class T>
inline constexpr std::size_t fixed_bytes = bitwise<T> ? sizeof(T) : not_fixed;

/// T's encoding is fixed_bytes<T> long.
template <class T>
concept fixed_size = fixed_bytes<T>
!= not_fixed;

template <class... Types>
inline constexpr std::size_t sum_of_fixed_bytes =
    (... && fixed_size<Types>) ? (std::size_t{0} + ... + fixed_bytes<Types>) : not_fixed;

template <class First, class Second>
inline constexpr std::size_t fixed_bytes<std::pair<First, Second>> = sum_of_fixed_bytes<First, Second>;
template <class... Types>
inline constexpr std::size_t fixed_bytes<std::tuple<Types...>> = sum_of_fixed_bytes<Types...>;
template <class T, std::size_t N>
inline constexpr std::size_t fixed_bytes<std::array<T, N>> = fixed_size<T> ? N* fixed_bytes<T> : not_fixed;
template <class T>
inline constexpr std::size_t fixed_bytes<std::optional<T>> = fixed_size<T> ? 1 + fixed_bytes<T> : not_fixed;

/// Every byte of a T in memory is a byte of its encoding, so that many can be copied at once.
template <class T>
concept copied_whole = bitwise<T> && is_padding_free<T>();

/// Any bytes are a T, as far as can be told.
template <class T>
concept copied_back = bitwise<T> && !std::is_same_v<T, bool>;

/// How a fixed-size T becomes bytes and back.
template <class T>
struct Fixed {
  static void encode(const T& value, std::byte* to) {
    if constexpr (copied_whole<T>) {
      std::memcpy(to, &value, sizeof(T));
    } else {
      // Cleared in a copy, since the user's object may be const.
      alignas(T) std::array<std::byte, sizeof(T)> copy;
      std::memcpy(copy.data(), &value, sizeof(T));
      clear_padding(*reinterpret_cast<T*>(copy.data()));
      std::memcpy(to, copy.data(), sizeof(T));
    }
  }
  static T decode(const std::byte* from) {
    std::array<std::byte, sizeof(T)> bytes;
    std::memcpy(bytes.data(), from, sizeof(T));
    return std::bit_cast<T>(bytes);
  }
};

template <>
struct Fixed<bool> {
  static void encode(bool value, std::byte* to) { *to = value ? std::byte{1} : std::byte{0}; }
  static bool decode(const std::byte* from) { return *from != std::byte{0}; }
};

template <class First, class Second>
struct Fixed<std::pair<First, Second>> {
  static void encode(const std::pair<First, Second>& value, std::byte* to) {
    Fixed<First>::encode(value.first, to);
    Fixed<Second>::encode(value.second, to + fixed_bytes<First>);
  }
  static std::pair<First, Second> decode(const std::byte* from) {
    return {Fixed<First>::decode(from), Fixed<Second>::decode(from + fixed_bytes<First>)};
  }
};

template <class... Types>
struct Fixed<std::tuple<Types...>> {
  static void encode(const std::tuple<Types...>& value, [[maybe_unused]] std::byte* to) {
    std::apply([&to](const Types&... parts) { ((Fixed<Types>::encode(parts, to), to += fixed_bytes<Types>), ...); },
               value);
  }
  static std::tuple<Types...> decode([[maybe_unused]] const std::byte* from) {
    // Braces evaluate in order.
    return std::tuple<Types...>{Fixed<Types>::decode(std::exchange(from, from + fixed_bytes<Types>))...};
  }
};

template <class T, std::size_t N>
struct Fixed<std::array<T, N>> {
  static void encode(const std::array<T, N>& value, std::byte* to) {
    if constexpr (N > 0 && copied_whole<T>) {
      std::memcpy(to, value.data(), sizeof(value));
    } else {
      for (std::size_t i = 0; i < N; ++i) Fixed<T>::encode(value[i], to + i * fixed_bytes<T>);
    }
  }
  static std::array<T, N> decode([[maybe_unused]] const std::byte* from) {
    if constexpr (N == 0) {
      return {};
    } else if constexpr (copied_back<T>) {
      std::array<std::byte, sizeof(std::array<T, N>)> bytes;
      std::memcpy(bytes.data(), from, bytes.size());
      return std::bit_cast<std::array<T, N>>(bytes);
    } else {
      return [from]<std::size_t... I>(std::index_sequence<I...>) {
        return std::array<T, N>{Fixed<T>::decode(from + I * fixed_bytes<T>)...};
      }
      (std::make_index_sequence<N>{});
    }
  }
};

template <class T>
struct Fixed<std::optional<T>> {
  static void encode(const std::optional<T>& value, std::byte* to) {
    to[0] = value ? std::byte{1} : std::byte{0};
    if (value)
      Fixed<T>::encode(*value, to + 1);
    else
      std::memset(to + 1, 0, fixed_bytes<T>);
  }
  static std::optional<T> decode(const std::byte* from) {
    if (from[0] == std::byte{0}) return std::nullopt;
    return Fixed<T>::decode(from + 1);
  }
};

template <fixed_size T>
void encode_fixed(const T& value, std::byte* to) {
  Fixed<T>::encode(value, to);
}

template <fixed_size T>
[[nodiscard]] T decode_fixed(const std::byte* from) {
  return Fixed<T>::decode(from);
}

/// Encodes `count` values that follow one another in memory.
template <fixed_size T>
void encode_fixed_run(const T* values, std::size_t count, std::byte* to) {
  if constexpr (copied_whole<T>) {
    if (count != 0) std::memcpy(to, values, count * sizeof(T));
  } else {
    for (std::size_t i = 0; i < count; ++i) Fixed<T>::encode(values[i], to + i * fixed_bytes<T>);
  }
}

/// Decodes into existing values.
template <fixed_size T>
void decode_fixed_run(const std::byte* from, std::size_t count, T* values) {
  if constexpr (copied_back<T>) {
    if (count != 0) std::memcpy(static_cast<void*>(values), from, count * sizeof(T));
  } else {
    for (std::size_t i = 0; i < count; ++i) values[i] = Fixed<T>::decode(from + i * fixed_bytes<T>);
  }
}

/// Iterates over encoded values, decoding each as it is read.
template <fixed_size T>
class DecodingIterator {
 public:
  using iterator_category = std::random_access_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using pointer = const T*;
  using reference = T;

  DecodingIterator() = default;
  explicit DecodingIterator(const std::byte* at) : at_(at) {}

  T operator*() const { return Fixed<T>::decode(at_); }
  T operator[](difference_type n) const { return *(*this + n); }
  DecodingIterator& operator+=(difference_type n) {
    at_ += n * step;
    return *this;
  }
  DecodingIterator& operator-=(difference_type n) { return *this += -n; }
  DecodingIterator& operator++() { return *this += 1; }
  DecodingIterator& operator--() { return *this -= 1; }
  DecodingIterator operator++(int) { return std::exchange(*this, *this + 1); }
  DecodingIterator operator--(int) { return std::exchange(*this, *this - 1); }
  friend DecodingIterator operator+(DecodingIterator a, difference_type n) { return a += n; }
  friend DecodingIterator operator+(difference_type n, DecodingIterator a) { return a += n; }
  friend DecodingIterator operator-(DecodingIterator a, difference_type n) { return a -= n; }
  friend difference_type operator-(DecodingIterator a, DecodingIterator b) { return (a.at_ - b.at_) / step; }
  friend auto operator<=>(DecodingIterator a, DecodingIterator b) = default;

 private:
  static constexpr difference_type step = static_cast<difference_type>(fixed_bytes<T>);
  const std::byte* at_ = nullptr;
};

/// Makes a vector or string of `count` encoded values.
template <class Container, fixed_size T = typename Container::value_type>
[[nodiscard]] Container decode_fixed_container(const std::byte* from, std::size_t count) {
  if constexpr (copied_back<T>) {
    if (reinterpret_cast<std::uintptr_t>(from) % alignof(T) == 0) {
      // One copy, without the zeroes of Container(count).
      const T* values = reinterpret_cast<const T*>(from);
      return Container(values, values + count);
    }
  }
  const DecodingIterator<T> begin(from);
  return Container(begin, begin + static_cast<std::ptrdiff_t>(count));
}

}  // namespace rankpool::detail
