/// @file
/// What Value and Array ask of the cells that hold them.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/detail/fixed_size.hpp>
#include <rankpool/detail/shared.hpp>

namespace rankpool::detail {

/// T can be in a cell.
template <class T>
concept cell_value = std::same_as<T, std::remove_cv_t<T>> && travels<T> && fixed_size<T>;

template <class T>
consteval bool explain_cell() {
  static_assert(travels<T> && fixed_size<T>,
                "rankpool: a Value or an Array holds numbers, enums, trivially copyable classes, and pairs, tuples, "
                "arrays and optionals of those: what has one size and no pointers. A Queue takes all that travels.");
  if constexpr (cell_value<T>) {
    static_assert(fixed_bytes<T> > 0, "rankpool: a Value or an Array of a type without contents holds nothing.");
  }
  return cell_value<T>;
}

/// T can be added to by the processor itself.
template <class T>
concept added_at_once = std::is_arithmetic_v<T> && !std::same_as<T, bool> && sizeof(T) <= sizeof(std::uint64_t);

template <added_at_once T>
consteval Number number_of() {
  constexpr bool is_signed = std::is_signed_v<T>;
  if constexpr (std::is_floating_point_v<T>) return sizeof(T) == 4 ? Number::f32 : Number::f64;
  if constexpr (sizeof(T) == 1) return is_signed ? Number::i8 : Number::u8;
  if constexpr (sizeof(T) == 2) return is_signed ? Number::i16 : Number::u16;
  if constexpr (sizeof(T) == 4) return is_signed ? Number::i32 : Number::u32;
  return is_signed ? Number::i64 : Number::u64;
}

template <cell_value T>
class CellsOf {
 public:
  explicit CellsOf(const SharedHandle& handle) : handle_(handle) {}

  [[nodiscard]] T read(std::uint64_t i, std::string_view what) const {
    return value_in(ask(SharedVerb::read, {i, 1}, {}, what), what);
  }

  [[nodiscard]] std::vector<T> read(std::uint64_t first, std::uint64_t count, std::string_view what) const {
    if (count == 1) return {read(first, what)};
    const SharedReply reply = ask(SharedVerb::read, {first, count}, {}, what);
    if (reply.bytes.size() != count * size) throw_damaged(what);
    return decode_fixed_container<std::vector<T>>(reply.bytes.data(), count);
  }

  void write(std::uint64_t first, std::span<const T> values, std::string_view what) const {
    if constexpr (copied_whole<T>) {
      ask(SharedVerb::write, {first}, std::as_bytes(values), what);
    } else {
      std::vector<std::byte> bytes(values.size() * size);
      encode_fixed_run(values.data(), values.size(), bytes.data());
      ask(SharedVerb::write, {first}, bytes, what);
    }
  }

  T add(std::uint64_t i, T amount, std::string_view what) const {
    if constexpr (added_at_once<T>) {
      return value_in(ask(SharedVerb::add, {i, static_cast<std::uint64_t>(number_of<T>())},
                          std::as_bytes(std::span(&amount, 1)), what),
                      what);
    } else {
      T before = read(i, what);
      while (!compare_exchange(i, before, static_cast<T>(before + amount), what)) {
      }
      return before;
    }
  }

  bool compare_exchange(std::uint64_t i, T& expected, const T& desired, std::string_view what) const {
    std::array<std::byte, 2 * size> both;
    encode_fixed(expected, both.data());
    encode_fixed(desired, both.data() + size);
    const SharedReply reply = ask(SharedVerb::compare_exchange, {i}, both, what);
    if (reply.answer == SharedAnswer::done) return true;
    expected = value_in(reply, what);
    return false;
  }

  template <class F>
  T update(std::uint64_t i, const F& f, std::string_view what) const {
    T before = read(i, what);
    for (;;) {
      const T after = f(std::as_const(before));
      if (compare_exchange(i, before, after, what)) return after;
    }
  }

 private:
  static constexpr std::size_t size = fixed_bytes<T>;

  SharedReply ask(SharedVerb verb, std::array<std::uint64_t, 2> words, Bytes payload, std::string_view what) const {
    return ask_shared({.verb = verb, .object = handle_, .words = words, .payload = payload}, what);
  }

  static T value_in(const SharedReply& reply, std::string_view what) {
    const Bytes word = std::as_bytes(std::span(&reply.word, 1));
    const Bytes bytes = reply.bytes.empty() ? word : Bytes(reply.bytes);
    if (bytes.size() < size) throw_damaged(what);
    return decode_fixed<T>(bytes.data());
  }

  const SharedHandle& handle_;
};

}  // namespace rankpool::detail
