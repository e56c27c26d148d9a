/// @file
/// How smart pointers travel, and what several of them share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <typeindex>
#include <utility>

#include <rankpool/detail/archive.hpp>
#include <rankpool/detail/bitwise.hpp>
#include <rankpool/detail/elements.hpp>
#include <rankpool/detail/fixed_size.hpp>

namespace rankpool::detail {

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
      if (object != nullptr) archive.ledger().own_alone();
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
      const auto& known = shared[static_cast<std::size_t>(number - 1)];
      if (known.type != typeid(Value)) throw DecodeError("a shared pointer to an object of another type");
      pointer = std::static_pointer_cast<Value>(known.object);
    } else if (number == shared.size() + 1) {
      // Known by its number before its content is loaded, which may point back to it.
      if constexpr (std::is_default_constructible_v<Value>) {
        auto object = std::make_shared<Value>();
        shared.push_back({object, typeid(Value)});
        archive >> *object;
        pointer = std::move(object);
      } else {
        shared.push_back({nullptr, typeid(Value)});
        auto object = std::make_shared<Value>(load_value<Value>(archive));
        archive.shared()[static_cast<std::size_t>(number - 1)].object = object;
        pointer = std::move(object);
      }
    } else {
      throw DecodeError("a shared pointer to an object that was never sent");
    }
  }

  /// The first shared pointer to an object owns it; later ones, also to its bases, share that.
  static std::shared_ptr<T> own(InputArchive& archive, Value* object) {
    if (object == nullptr) return {};
    archive.ledger().own_together();
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
