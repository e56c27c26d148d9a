/// @file
/// Saving and loading one value of any type that travels, also where it has no default constructor.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/detail/archive.hpp>
#include <rankpool/detail/bitwise.hpp>
#include <rankpool/detail/fixed_size.hpp>

namespace rankpool::detail {

/// Has fixed-size elements one after the other in memory.
template <class T>
inline constexpr bool contiguous_container = false;
template <class T, class Allocator>
inline constexpr bool contiguous_container<std::vector<T, Allocator>> =
    fixed_size<T>&& fixed_bytes<T> != 0 && !std::is_same_v<T, bool>;
template <class Char, class Traits, class Allocator>
inline constexpr bool contiguous_container<std::basic_string<Char, Traits, Allocator>> = true;

template <class T>
void save_value(OutputArchive& archive, const T& value) {
  if constexpr (!fixed_size<T> && !standard<T> && !std::is_default_constructible_v<T>) {
    boost::serialization::save_construct_data_adl(archive, &value, boost::serialization::version<T>::value);
  }
  archive << value;
}

/// A T as loaded, at an address of its own, which Boost's tracking knows until moved() tells it another.
template <class T>
class Loaded {
 public:
  // Delegates, so that the object is destroyed when loading its content throws.
  explicit Loaded(InputArchive& archive) : Loaded(archive, Construct{}) {
    if constexpr (!made_whole) archive >> value_;
  }
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;
  ~Loaded() { std::destroy_at(&value_); }

  [[nodiscard]] T& operator*() { return value_; }

 private:
  struct Construct {};

  static constexpr bool by_default = !fixed_size<T> && std::is_default_constructible_v<T>;
  static constexpr bool by_standard = !fixed_size<T> && !by_default && requires(InputArchive & from) {
    Standard<T>::make(from);
  };
  static constexpr bool made_whole = fixed_size<T> || by_standard;

  Loaded(InputArchive& archive, Construct /*tag*/) {
    if constexpr (fixed_size<T>) {
      ::new (static_cast<void*>(&value_)) T(decode_fixed<T>(archive.take(fixed_bytes<T>)));
    } else if constexpr (by_default) {
      ::new (static_cast<void*>(&value_)) T{};
    } else if constexpr (by_standard) {
      ::new (static_cast<void*>(&value_)) T(Standard<T>::make(archive));
    } else {
      static_assert(has_load_construct_data<T>,
                    "rankpool: this class can't be made on the other side: give it a public default constructor, or "
                    "save_construct_data and load_construct_data as Boost.Serialization has them.");
      boost::serialization::load_construct_data_adl(archive, &value_, boost::serialization::version<T>::value);
    }
  }

  union {
    T value_;
  };
};

/// Loads a T that doesn't exist yet.
template <class T>
T load_value(InputArchive& archive) {
  if constexpr (fixed_size<T>) {
    return decode_fixed<T>(archive.take(fixed_bytes<T>));
  } else {
    Loaded<T> loaded(archive);
    return std::move(*loaded);
  }
}

/// Bytes that an encoded T takes at least.
template <class T>
consteval std::size_t least_bytes() {
  if constexpr (fixed_size<T>)
    return fixed_bytes<T>;
  else if constexpr (requires { Standard<T>::least_bytes; })
    return Standard<T>::least_bytes;
  else
    return 0;
}

/// Calls `load()` for each of the elements of a container whose length comes next.
/// @tparam Parts what an element is made of.
template <class... Parts>
void load_each(InputArchive& archive, auto&& reserve, auto&& load) {
  constexpr std::size_t least = (least_bytes<Parts>() + ...);
  std::uint64_t count = archive.load_count(least);
  reserve(static_cast<std::size_t>(least != 0 ? count : std::min<std::uint64_t>(count, archive.left())));
  for (; count != 0; --count) {
    const std::size_t left = archive.left();
    load();
    if constexpr (least == 0) archive.count_element(left);
  }
}

/// Objects of this type may be tracked by Boost, which must then know where they have moved.
template <class T>
inline constexpr bool may_be_tracked = !fixed_size<T> && !contiguous_container<T>;

template <class T>
void moved(InputArchive& archive, const T& to, const T& from) {
  if constexpr (may_be_tracked<T>) archive.reset_object_address(&to, &from);
}

}  // namespace rankpool::detail
