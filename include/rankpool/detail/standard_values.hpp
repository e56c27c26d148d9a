/// @file
/// How values made of a few others travel: pair, tuple, optional and variant, and paths.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <rankpool/detail/archive.hpp>
#include <rankpool/detail/bitwise.hpp>
#include <rankpool/detail/elements.hpp>
#include <rankpool/detail/standard_containers.hpp>

namespace rankpool::detail {

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

}  // namespace rankpool::detail
