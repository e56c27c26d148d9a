/// @file
/// What travels between processes, without another include:
///
/// - arithmetic types, enums and trivially copyable classes without `serialize`, as bytes;
/// - std::string, vector, array, deque, list, set, map (multi and unordered ones too), pair, tuple, optional, variant,
///   complex, chrono durations and time points, filesystem::path, unique_ptr, shared_ptr and weak_ptr of what travels;
/// - classes with a Boost.Serialization `serialize` (member or free, or save and load), with its versions, object
///   tracking, `BOOST_CLASS_EXPORT`ed polymorphic pointers and `load_construct_data`.
///
/// Elements and arguments without a public default constructor travel when they are trivially copyable or have a
/// `load_construct_data`. Comparators, hash functions, allocators and deleters don't travel: they are made anew.
/// shared_ptrs to one object within one argument or result own one object again on the other side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeindex>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
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

/// Objects of this type may be tracked by Boost, which must then know where they have moved.
template <class T>
inline constexpr bool may_be_tracked = !fixed_size<T> && !contiguous_container<T>;

template <class T>
void moved(InputArchive& archive, const T& to, const T& from) {
  if constexpr (may_be_tracked<T>) archive.reset_object_address(&to, &from);
}

// --- sequences ------------------------------------------------------------------------------------------------------

template <class Sequence>
struct StandardSequence {
  using Value = typename Sequence::value_type;
  using Parts = TypeList<Value>;
  static constexpr bool supported = true;

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
    std::uint64_t count = archive.load_count();
    if constexpr (contiguous_container<Sequence>) {
      const std::byte* from = archive.take_run(count, fixed_bytes<Value>);
      values = decode_fixed_container<Sequence>(from, static_cast<std::size_t>(count));
    } else {
      values.clear();
      // Elements are loaded in their final place where they can be, as tracking needs their address.
      if constexpr (requires { values.reserve(1); }) values.reserve(static_cast<std::size_t>(count));
      for (; count != 0; --count) load_element(archive, values);
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

template <class Set>
struct StandardSet {
  using Value = typename Set::value_type;
  using Parts = TypeList<Value>;
  static constexpr bool supported = true;

  static void save(OutputArchive& archive, const Set& values) {
    archive.save_count(values.size());
    for (const Value& value : values) save_value(archive, value);
  }
  static void load(InputArchive& archive, Set& values) {
    values.clear();
    for (std::uint64_t count = archive.load_count(); count != 0; --count) {
      Loaded<Value> value(archive);
      const auto place = values.emplace_hint(values.end(), std::move(*value));
      moved(archive, *place, *value);
    }
  }
};

template <class Map>
struct StandardMap {
  using Key = typename Map::key_type;
  using Mapped = typename Map::mapped_type;
  using Parts = TypeList<Key, Mapped>;
  static constexpr bool supported = true;

  static void save(OutputArchive& archive, const Map& entries) {
    archive.save_count(entries.size());
    for (const auto& [key, mapped] : entries) {
      save_value(archive, key);
      save_value(archive, mapped);
    }
  }
  static void load(InputArchive& archive, Map& entries) {
    entries.clear();
    for (std::uint64_t count = archive.load_count(); count != 0; --count) {
      Loaded<Key> key(archive);
      Loaded<Mapped> mapped(archive);
      const auto place = entries.emplace_hint(entries.end(), std::move(*key), std::move(*mapped));
      moved(archive, place->second, *mapped);
      moved(archive, place->first, *key);
    }
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

// --- products and sums ----------------------------------------------------------------------------------------------

template <class First, class Second>
struct Standard<std::pair<First, Second>> {
  using Parts = TypeList<std::remove_cv_t<First>, Second>;
  static constexpr bool supported = true;
  static void save(OutputArchive& archive, const std::pair<First, Second>& value) {
    save_value<std::remove_cv_t<First>>(archive, value.first);
    save_value(archive, value.second);
  }
  static void load(InputArchive& archive, std::pair<First, Second>& value) {
    if constexpr (std::is_default_constructible_v<std::pair<First, Second>>) {
      archive >> const_cast<std::remove_cv_t<First>&>(value.first) >> value.second;
    } else {
      value = make(archive);
    }
  }
  static std::pair<First, Second> make(InputArchive& archive) {
    return std::pair<First, Second>{load_value<std::remove_cv_t<First>>(archive), load_value<Second>(archive)};
  }
};

template <class... Types>
struct Standard<std::tuple<Types...>> {
  using Parts = TypeList<Types...>;
  static constexpr bool supported = true;
  static void save(OutputArchive& archive, const std::tuple<Types...>& value) {
    std::apply([&archive](const Types&... parts) { (save_value(archive, parts), ...); }, value);
  }
  static void load(InputArchive& archive, std::tuple<Types...>& value) {
    if constexpr ((... && std::is_default_constructible_v<Types>)) {
      std::apply([&archive](Types&... parts) { ((archive >> parts), ...); }, value);
    } else {
      value = make(archive);
    }
  }
  static std::tuple<Types...> make(InputArchive& archive) {
    return std::tuple<Types...>{load_value<Types>(archive)...};
  }
};

template <class T>
struct Standard<std::optional<T>> {
  using Parts = TypeList<T>;
  static constexpr bool supported = true;
  static void save(OutputArchive& archive, const std::optional<T>& value) {
    archive << value.has_value();
    if (value) save_value(archive, *value);
  }
  static void load(InputArchive& archive, std::optional<T>& value) {
    value.reset();
    if (!load_value<bool>(archive)) return;
    if constexpr (std::is_default_constructible_v<T>) {
      archive >> value.emplace();
    } else {
      Loaded<T> made(archive);
      value.emplace(std::move(*made));
      moved(archive, *value, *made);
    }
  }
};

template <class... Types>
struct Standard<std::variant<Types...>> {
  using Variant = std::variant<Types...>;
  using Parts = TypeList<Types...>;
  static constexpr bool supported = true;
  static void save(OutputArchive& archive, const Variant& value) {
    if (value.valueless_by_exception()) throw std::bad_variant_access();
    archive << static_cast<std::uint32_t>(value.index());
    std::visit([&archive](const auto& alternative) { save_value(archive, alternative); }, value);
  }
  static void load(InputArchive& archive, Variant& value) {
    with_index(archive, [&]<std::size_t I>(std::in_place_index_t<I> /*index*/) {
      Loaded<std::variant_alternative_t<I, Variant>> alternative(archive);
      moved(archive, value.template emplace<I>(std::move(*alternative)), *alternative);
    });
  }
  static Variant make(InputArchive& archive) {
    std::optional<Variant> made;
    with_index(archive, [&]<std::size_t I>(std::in_place_index_t<I> index) {
      made.emplace(index, load_value<std::variant_alternative_t<I, Variant>>(archive));
    });
    return *std::move(made);
  }

 private:
  template <class F>
  static void with_index(InputArchive& archive, F&& load_alternative) {
    const auto index = load_value<std::uint32_t>(archive);
    if (index >= sizeof...(Types)) throw DecodeError("a std::variant has no alternative " + std::to_string(index));
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (void)(... || (I == index && (load_alternative(std::in_place_index<I>), true)));
    }
    (std::make_index_sequence<sizeof...(Types)>{});
  }
};

/// std::filesystem::path, recognised without its expensive header.
template <class T>
concept path_like = std::is_class_v<T> && requires(const T& path) {
  typename T::string_type;
  typename T::format;
  { path.native() } -> std::same_as<const typename T::string_type&>;
  { path.lexically_normal() } -> std::same_as<T>;
};

template <path_like Path>
struct Standard<Path> {
  using Parts = TypeList<>;
  static constexpr bool supported = true;
  static void save(OutputArchive& archive, const Path& path) { archive << path.native(); }
  static void load(InputArchive& archive, Path& path) { path = load_value<typename Path::string_type>(archive); }
};

// --- smart pointers -------------------------------------------------------------------------------------------------

/// Objects that Boost makes behind a pointer, with its tracking and derived types.
template <class T>
concept made_by_boost = !fixed_size<std::remove_const_t<T>> && !standard<std::remove_const_t<T>>;

template <class T>
struct Standard<std::unique_ptr<T>> {
  using Value = std::remove_const_t<T>;
  using Parts = TypeList<Value>;
  static constexpr bool supported = true;

  static void save(OutputArchive& archive, const std::unique_ptr<T>& pointer) {
    if constexpr (made_by_boost<T>) {
      const Value* object = pointer.get();
      archive << object;
    } else {
      archive << static_cast<bool>(pointer);
      if (pointer) save_value<Value>(archive, *pointer);
    }
  }
  static void load(InputArchive& archive, std::unique_ptr<T>& pointer) {
    if constexpr (made_by_boost<T>) {
      Value* object = nullptr;
      archive >> object;
      pointer.reset(object);
    } else {
      pointer.reset();
      if (load_value<bool>(archive)) pointer = std::make_unique<Value>(load_value<Value>(archive));
    }
  }
};

template <class T>
struct Standard<std::shared_ptr<T>> {
  using Value = std::remove_const_t<T>;
  using Parts = TypeList<Value>;
  static constexpr bool supported = true;

  static void save(OutputArchive& archive, const std::shared_ptr<T>& pointer) {
    if constexpr (made_by_boost<T>) {
      const Value* object = pointer.get();
      archive << object;
    } else {
      const auto [number, is_new] = pointer ? archive.share(pointer.get(), typeid(Value)) : std::pair(0UL, false);
      archive << static_cast<std::uint64_t>(number);
      if (is_new) save_value<Value>(archive, *pointer);
    }
  }

  static void load(InputArchive& archive, std::shared_ptr<T>& pointer) {
    if constexpr (made_by_boost<T>) {
      Value* object = nullptr;
      archive >> object;
      pointer = own(archive, object);
    } else {
      load_shared(archive, pointer);
    }
  }

 private:
  static void load_shared(InputArchive& archive, std::shared_ptr<T>& pointer) {
    const auto number = load_value<std::uint64_t>(archive);
    auto& shared = archive.shared();
    if (number == 0) {
      pointer.reset();
    } else if (number <= shared.size()) {
      pointer = std::static_pointer_cast<Value>(shared[static_cast<std::size_t>(number - 1)]);
    } else if (number == shared.size() + 1) {
      // Known by its number before its content is loaded, which may point back to it.
      if constexpr (std::is_default_constructible_v<Value>) {
        auto object = std::make_shared<Value>();
        shared.push_back(object);
        archive >> *object;
        pointer = std::move(object);
      } else {
        shared.emplace_back();
        auto object = std::make_shared<Value>(load_value<Value>(archive));
        archive.shared()[static_cast<std::size_t>(number - 1)] = object;
        pointer = std::move(object);
      }
    } else {
      throw DecodeError("a shared pointer to an object that was never sent");
    }
  }

  /// The first shared pointer to an object owns it; later ones, also to its bases, share that.
  static std::shared_ptr<T> own(InputArchive& archive, Value* object) {
    if (object == nullptr) return {};
    const void* whole = object;
    if constexpr (std::is_polymorphic_v<Value>) whole = dynamic_cast<const void*>(object);
    auto& owner = archive.owners()[whole];
    if (owner) return std::shared_ptr<T>(owner, object);
    std::shared_ptr<Value> first(object);
    owner = first;
    return first;
  }
};

template <class T>
struct Standard<std::weak_ptr<T>> {
  using Parts = TypeList<std::remove_const_t<T>>;
  static constexpr bool supported = true;
  static void save(OutputArchive& archive, const std::weak_ptr<T>& pointer) {
    archive << std::shared_ptr<T>(pointer.lock());
  }
  static void load(InputArchive& archive, std::weak_ptr<T>& pointer) {
    std::shared_ptr<T> object;
    archive >> object;
    pointer = object;
  }
};

}  // namespace rankpool::detail
