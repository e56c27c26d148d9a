/// @file
/// How sequences, sets and maps travel.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <set>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <rankpool/detail/archive.hpp>
#include <rankpool/detail/bitwise.hpp>
#include <rankpool/detail/elements.hpp>
#include <rankpool/detail/fixed_size.hpp>

namespace rankpool::detail {

// --- sequences ------------------------------------------------------------------------------------------------------

template <class Sequence>
struct StandardSequence {
  using Value = typename Sequence::value_type;
  using Parts = TypeList<Value>;
  static constexpr bool supported = true;
  static constexpr std::size_t least_bytes = sizeof(std::uint64_t);

  static void save(OutputArchive& archive, const Sequence& values) {
    archive.save_count(values.size());
    if constexpr (contiguous_container<Sequence>) {
      encode_fixed_run<Value>(values.data(), values.size(),
                              archive.buffer().append(values.size() * fixed_bytes<Value>));
    } else {
      for (const auto& value : values) save_value<Value>(archive, value);
    }
  }

  static void load(InputArchive& archive, Sequence& values) {
    if constexpr (contiguous_container<Sequence>) {
      const std::uint64_t count = archive.load_count(fixed_bytes<Value>);
      const std::byte* from = archive.take_run(count, fixed_bytes<Value>);
      values = decode_fixed_container<Sequence>(from, static_cast<std::size_t>(count));
    } else {
      values.clear();
      // Elements are loaded in their final place where they can be, as tracking needs their address.
      const auto reserve = [&]([[maybe_unused]] std::size_t count) {
        if constexpr (requires { values.reserve(count); }) values.reserve(count);
      };
      load_each<Value>(archive, reserve, [&] { load_element(archive, values); });
    }
  }

 private:
  static void load_element(InputArchive& archive, Sequence& values) {
    if constexpr (fixed_size<Value>) {
      values.push_back(load_value<Value>(archive));  // also for vector<bool>, which has no Value to refer to
    } else if constexpr (!std::is_default_constructible_v<Value>) {
      Loaded<Value> value(archive);
      values.push_back(std::move(*value));
      moved(archive, values.back(), *value);
    } else {
      archive >> values.emplace_back();
    }
  }
};

template <class T, class Allocator>
struct Standard<std::vector<T, Allocator>> : StandardSequence<std::vector<T, Allocator>> {};
template <class T, class Allocator>
struct Standard<std::deque<T, Allocator>> : StandardSequence<std::deque<T, Allocator>> {};
template <class T, class Allocator>
struct Standard<std::list<T, Allocator>> : StandardSequence<std::list<T, Allocator>> {};
template <class Char, class Traits, class Allocator>
struct Standard<std::basic_string<Char, Traits, Allocator>>
    : StandardSequence<std::basic_string<Char, Traits, Allocator>> {};

template <class T, std::size_t N>
struct Standard<std::array<T, N>> {
  using Parts = TypeList<T>;
  static constexpr bool supported = true;
  static void save(OutputArchive& archive, const std::array<T, N>& values) {
    for (const T& value : values) save_value(archive, value);
  }
  static void load(InputArchive& archive, std::array<T, N>& values) {
    if constexpr (std::is_default_constructible_v<T>) {
      for (T& value : values) archive >> value;
    } else {
      values = make(archive);
    }
  }
  static std::array<T, N> make(InputArchive& archive) {
    return [&archive]<std::size_t... I>(std::index_sequence<I...>) {
      return std::array<T, N>{((void)I, load_value<T>(archive))...};
    }
    (std::make_index_sequence<N>{});
  }
};

// --- sets and maps --------------------------------------------------------------------------------------------------

inline constexpr auto ignore = [](std::size_t /*count*/) {};

template <class Set>
struct StandardSet {
  using Value = typename Set::value_type;
  using Parts = TypeList<Value>;
  static constexpr bool supported = true;
  static constexpr std::size_t least_bytes = sizeof(std::uint64_t);

  static void save(OutputArchive& archive, const Set& values) {
    archive.save_count(values.size());
    for (const Value& value : values) save_value(archive, value);
  }
  static void load(InputArchive& archive, Set& values) {
    values.clear();
    load_each<Value>(archive, ignore, [&] {
      Loaded<Value> value(archive);
      const std::size_t size = values.size();
      const auto place = values.emplace_hint(values.end(), std::move(*value));
      if (values.size() == size) [[unlikely]]
        throw DecodeError("a set has the same element twice");
      moved(archive, *place, *value);
    });
  }
};

template <class Map>
struct StandardMap {
  using Key = typename Map::key_type;
  using Mapped = typename Map::mapped_type;
  using Parts = TypeList<Key, Mapped>;
  static constexpr bool supported = true;
  static constexpr std::size_t least_bytes = sizeof(std::uint64_t);

  static void save(OutputArchive& archive, const Map& entries) {
    archive.save_count(entries.size());
    for (const auto& [key, mapped] : entries) {
      save_value(archive, key);
      save_value(archive, mapped);
    }
  }
  static void load(InputArchive& archive, Map& entries) {
    entries.clear();
    load_each<Key, Mapped>(archive, ignore, [&] {
      Loaded<Key> key(archive);
      Loaded<Mapped> mapped(archive);
      const std::size_t size = entries.size();
      const auto place = entries.emplace_hint(entries.end(), std::move(*key), std::move(*mapped));
      if (entries.size() == size) [[unlikely]]
        throw DecodeError("a map has the same key twice");
      moved(archive, place->second, *mapped);
      moved(archive, place->first, *key);
    });
  }
};

template <class... T>
struct Standard<std::set<T...>> : StandardSet<std::set<T...>> {};
template <class... T>
struct Standard<std::multiset<T...>> : StandardSet<std::multiset<T...>> {};
template <class... T>
struct Standard<std::unordered_set<T...>> : StandardSet<std::unordered_set<T...>> {};
template <class... T>
struct Standard<std::unordered_multiset<T...>> : StandardSet<std::unordered_multiset<T...>> {};
template <class... T>
struct Standard<std::map<T...>> : StandardMap<std::map<T...>> {};
template <class... T>
struct Standard<std::multimap<T...>> : StandardMap<std::multimap<T...>> {};
template <class... T>
struct Standard<std::unordered_map<T...>> : StandardMap<std::unordered_map<T...>> {};
template <class... T>
struct Standard<std::unordered_multimap<T...>> : StandardMap<std::unordered_multimap<T...>> {};

}  // namespace rankpool::detail
