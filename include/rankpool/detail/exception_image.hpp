/// @file
/// How the exceptions that a program registers leave the executor and are made anew at the master.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <rankpool/detail/archive.hpp>
#include <rankpool/detail/bitwise.hpp>
#include <rankpool/detail/byte_buffer.hpp>
#include <rankpool/detail/fixed_size.hpp>
#include <rankpool/errors.hpp>
#include <rankpool/export.hpp>
#include <rankpool/serialization.hpp>

namespace rankpool::detail {

/// A type of exception that can be made anew, with its type erased.
struct ExceptionKind {
  const std::type_info* type;

  /// The exception being handled, which is `handled` where that has one std::exception base, as this type; null when
  /// it is none.
  const void* (*find)(const std::exception* handled);

  /// Appends the state of what find() gave.
  void (*save)(const void* error, ByteBuffer& state);

  /// @returns a Remote of this type; throws when the state makes no sense.
  std::exception_ptr (*rebuild)(Bytes state, RemoteReport report);

  // Two kinds meet as a thrown and a caught pointer: without knowing both types at once, only that tells which of them
  // is a base of the other.
  void (*throw_pointer)();
  bool (*catches)(void (*throw_pointer)());
};

/// Adds a kind; derived types are found before their bases. Thread-safe.
RANKPOOL_API void register_exception_kind(const ExceptionKind& kind);

template <class E>
const void* find_handled(const std::exception* handled) {
  if constexpr (std::is_convertible_v<const E*, const std::exception*>) {
    return dynamic_cast<const E*>(handled);
  } else {
    try {
      throw;
    } catch (const E& error) {
      return &error;
    } catch (...) {
      return nullptr;
    }
  }
}

template <class E>
std::exception_ptr make_remote(E&& error, RemoteReport report) {
  // Not make_exception_ptr: that needs a copyable E.
  try {
    throw Remote<std::remove_cvref_t<E>>(std::forward<E>(error), std::move(report));
  } catch (const RemoteError&) {
    return std::current_exception();
  }
}

template <class E>
concept made_from_text = std::constructible_from<E, const std::string&>;

/// As large as its base, hence without members of its own.
template <class E, class Base>
inline constexpr bool adds_nothing_to = std::is_base_of_v<Base, E> && sizeof(E) == sizeof(Base);

template <class E>
concept without_state = std::default_initializable<E> &&
    (std::is_empty_v<E> || adds_nothing_to<E, std::exception> || adds_nothing_to<E, std::runtime_error> ||
     adds_nothing_to<E, std::bad_alloc>);

template <class E>
concept serialized_exception = has_serialize<E> &&(std::default_initializable<E> || made_from_text<E>);

template <class E>
concept copied_exception = bitwise<E> && travels<E>;

template <class E>
E make_exception_object([[maybe_unused]] const RemoteReport& report) {
  if constexpr (made_from_text<E>)
    return E(report.text);
  else
    return E();
}

template <class E>
struct RegisteredException {
  static void save(const void* error, ByteBuffer& state) {
    const E& original = *static_cast<const E*>(error);
    if constexpr (copied_exception<E>) {
      encode_fixed(original, state.append(sizeof(E)));
    } else if constexpr (serialized_exception<E>) {
      OutputArchive(state) << original;
    } else {
      static_cast<void>(original);
      static_cast<void>(state);
    }
  }

  static std::exception_ptr rebuild(Bytes state, RemoteReport report) {
    if constexpr (copied_exception<E>) {
      if (state.size() < sizeof(E)) throw_too_short("an exception", sizeof(E), state.size());
      if (state.size() > sizeof(E)) throw_too_long("an exception", state.size() - sizeof(E));
      return make_remote(decode_fixed<E>(state.data()), std::move(report));
    } else {
      E error = make_exception_object<E>(report);
      if constexpr (serialized_exception<E>) {
        InputArchive archive(state);
        archive >> error;
        archive.finish();
      }
      return make_remote(std::move(error), std::move(report));
    }
  }

  [[noreturn]] static void throw_pointer() { throw static_cast<E*>(nullptr); }  // NOLINT: see ExceptionKind

  static bool catches(void (*throw_other)()) {
    try {
      throw_other();
    } catch (E*) {  // NOLINT: see ExceptionKind
      return true;
    } catch (...) {
    }
    return false;
  }

  static constexpr ExceptionKind kind{&typeid(E), &find_handled<E>, &save, &rebuild, &throw_pointer, &catches};
};

}  // namespace rankpool::detail

template <class E>
void rankpool::register_exception() {
  static_assert(std::is_class_v<E> && std::is_same_v<E, std::remove_cv_t<E>>,
                "rankpool: register the exception's class itself, without const or &; what is no class, such as a "
                "thrown int, can't be registered and arrives as RemoteError.");
  static_assert(!std::is_final_v<E>,
                "rankpool: a final class can't be registered: what arrives is a class derived from it, which is a "
                "RemoteError as well. Remove `final`.");
  static_assert(!detail::bitwise<E> || detail::travels<E>,
                "rankpool: this exception holds a pointer or a view, which means nothing in the master's process. Hold "
                "the value, or a std::string, and give the class a serialize function.");
  static_assert(!detail::has_serialize<E> || detail::serialized_exception<E>,
                "rankpool: an exception with a serialize function needs a constructor without arguments, or one from "
                "std::string, to be filled at the master.");
  static_assert(detail::copied_exception<E> || detail::serialized_exception<E> || detail::made_from_text<E> ||
                    detail::without_state<E>,
                "rankpool: this exception can't be made anew at the master. Give it a constructor from std::string, "
                "which gets the text of what(), or a constructor without arguments and a member `template <class "
                "Archive> void serialize(Archive& ar, unsigned) { ar & a & b; }`.");
  detail::register_exception_kind(detail::RegisteredException<E>::kind);
}
