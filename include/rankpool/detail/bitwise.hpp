/// @file
/// Which types travel, which of them as plain bytes, and what to tell the user about those that don't.
#pragma once

#include <array>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <boost/serialization/access.hpp>
#include <boost/serialization/version.hpp>

#include <rankpool/detail/members.hpp>

namespace boost::serialization {
class version_type;  // ADL through it finds the `serialize` functions in this namespace
}

namespace rankpool {

class Pool;

namespace detail {

/// How a standard type travels; specialised in standard_*.hpp. `Parts` is the TypeList of the types inside it.
template <class T>
struct Standard {
  static constexpr bool supported = false;
};

template <class T>
concept standard = Standard<T>::supported;

// --- is there a `serialize`? ----------------------------------------------------------------------------------------

struct SerializeName {
  int serialize;
};

// The name is ambiguous in this class when T has a member of that name, a private one included.
template <class T>
struct WithSerializeName : T, SerializeName {};

template <class T>
concept has_member_serialize_name = std::is_class_v<T> && !std::is_final_v<T> && !requires {
  &WithSerializeName<T>::serialize;
};

template <class>
class SerializeProbe {};
using ProbeArchive = SerializeProbe<boost::serialization::version_type>;

struct NoFreeFunction {};

namespace free_function {

// As specialised as a user's `template <class Archive> void serialize(Archive&, Foo&, unsigned)`, so that a call is
// ambiguous when there is one, and more specialised than Boost's default for every type.
template <class T>
NoFreeFunction serialize(ProbeArchive& archive, T& object, unsigned version);
template <class T>
NoFreeFunction load_construct_data(ProbeArchive& archive, T* object, unsigned version);

template <class T>
concept no_serialize = requires(ProbeArchive& archive, T& object, unsigned version) {
  { serialize(archive, object, version) } -> std::same_as<NoFreeFunction>;
};
template <class T>
concept no_load_construct_data = requires(ProbeArchive& archive, T* object, unsigned version) {
  { load_construct_data(archive, object, version) } -> std::same_as<NoFreeFunction>;
};

}  // namespace free_function

template <class T>
concept has_serialize = (std::is_class_v<T> || std::is_union_v<T> ||
                         std::is_enum_v<T>)&&(has_member_serialize_name<T> || requires(T & t, ProbeArchive& archive) {
  t.serialize(archive, 0U);
} || !free_function::no_serialize<T>);

template <class T>
concept has_load_construct_data = !free_function::no_load_construct_data<T>;

// --- obstacles ------------------------------------------------------------------------------------------------------

/// What keeps a type from travelling.
enum class Obstacle : std::uint8_t { none, pointer, reference, view, iterator, function_wrapper, pool, no_serialize };

template <class T, template <class...> class Template>
inline constexpr bool is_specialization = false;
template <template <class...> class Template, class... Types>
inline constexpr bool is_specialization<Template<Types...>, Template> = true;

template <class T>
inline constexpr bool is_span = false;
template <class T, std::size_t Extent>
inline constexpr bool is_span<std::span<T, Extent>> = true;

template <class T>
concept view_of_others = is_specialization<T, std::basic_string_view> || is_span<T> ||
    is_specialization<T, std::initializer_list> || is_specialization<T, std::reference_wrapper>;

template <class T>
concept iterator_class = std::is_class_v<T> && std::input_or_output_iterator<T>;

/// Standard classes that travel as bytes whatever Boost headers the program includes.
template <class T>
inline constexpr bool standard_bytes = std::same_as<T, std::monostate>;
template <class Real>
inline constexpr bool standard_bytes<std::complex<Real>> = std::is_arithmetic_v<Real>;
template <class Rep, class Period>
inline constexpr bool standard_bytes<std::chrono::duration<Rep, Period>> = std::is_arithmetic_v<Rep>;
template <class Clock, class Duration>
inline constexpr bool standard_bytes<std::chrono::time_point<Clock, Duration>> = standard_bytes<Duration>;

template <class T>
concept holds_address = std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T> ||
    std::is_reference_v<T> || view_of_others<T>;

/// Travels as its object representation: arithmetic types, enums, and trivially copyable classes without `serialize`.
/// Whether such a class holds pointers is another question: see obstacle().
template <class T>
concept bitwise = std::is_object_v<T> && !std::is_array_v<T> && !holds_address<T> && !standard<T> &&
                  (std::is_arithmetic_v<T> || standard_bytes<T> ||
                   (std::is_trivially_copyable_v<T> && !std::is_const_v<T> && !has_serialize<T>));

template <class T>
consteval Obstacle obstacle();

template <class... Parts>
consteval Obstacle obstacle_in(TypeList<Parts...> /*parts*/) {
  Obstacle found = Obstacle::none;
  (void)(... || ((found = obstacle<Parts>()) != Obstacle::none));
  return found;
}

/// @returns what keeps T, or anything inside it, from travelling.
template <class T>
consteval Obstacle obstacle() {
  using Value = std::remove_cv_t<std::remove_all_extents_t<T>>;
  // NOLINTBEGIN(bugprone-branch-clone): the order of the questions matters
  if constexpr (std::is_reference_v<Value> || is_specialization<Value, std::reference_wrapper>) {
    return Obstacle::reference;
  } else if constexpr (std::is_pointer_v<Value> || std::is_member_pointer_v<Value> || std::is_null_pointer_v<Value> ||
                       std::is_function_v<Value>) {
    return Obstacle::pointer;
  } else if constexpr (std::same_as<Value, Pool>) {
    return Obstacle::pool;
  } else if constexpr (view_of_others<Value>) {
    return Obstacle::view;
  } else if constexpr (is_specialization<Value, std::function>) {
    return Obstacle::function_wrapper;
  } else if constexpr (standard<Value>) {
    return obstacle_in(typename Standard<Value>::Parts{});
  } else if constexpr (std::is_arithmetic_v<Value> || standard_bytes<Value> || has_serialize<Value>) {
    return Obstacle::none;
  } else if constexpr (iterator_class<Value>) {
    return Obstacle::iterator;
  } else if constexpr (bitwise<Value>) {
    if constexpr (has_known_members<Value>) return obstacle_in(members_t<Value>{});
    return Obstacle::none;
  } else {
    // A private `serialize` of a final class can't be seen: Boost tells whether it is there.
    return std::is_final_v<Value> ? Obstacle::none : Obstacle::no_serialize;
  }
  // NOLINTEND(bugprone-branch-clone)
}

/// T can be sent to another process.
template <class T>
concept travels = (obstacle<T>() == Obstacle::none);

/// A compile error with advice where T doesn't travel.
template <class T>
consteval bool explain_travel() {
  constexpr Obstacle found = obstacle<T>();
  static_assert(
      found != Obstacle::pointer,
      "rankpool: a pointer doesn't travel: it means nothing in the process that runs the task. Send the value "
      "it points to; for text, a std::string.");
  static_assert(found != Obstacle::reference,
                "rankpool: a reference doesn't travel: its object is in another process. Send the value.");
  static_assert(found != Obstacle::view,
                "rankpool: a view (std::string_view, std::span) doesn't travel: it doesn't own what it shows. Send a "
                "std::string or a std::vector; the task may still take a view of it.");
  static_assert(found != Obstacle::iterator,
                "rankpool: an iterator doesn't travel: its range is in another process. Send the values or an index.");
  static_assert(
      found != Obstacle::function_wrapper,
      "rankpool: a std::function doesn't travel: it hides what it holds. Give the function, lambda or functor "
      "itself, or rankpool::bind(f, args...).");
  static_assert(found != Obstacle::pool, "rankpool: a task can't use the pool it runs in: a Pool doesn't travel.");
  static_assert(found != Obstacle::no_serialize,
                "rankpool: this class can't travel: it is not trivially copyable and has no serialize function. Add a "
                "member `template <class Archive> void serialize(Archive& ar, unsigned) { ar & a & b; }`.");
  return found == Obstacle::none;
}

// --- pointers only a look at the bytes can find ---------------------------------------------------------------------

template <class T>
consteval bool is_opaque();

template <class... Parts>
consteval bool any_opaque(TypeList<Parts...> /*parts*/) {
  return (... || is_opaque<std::remove_cv_t<std::remove_all_extents_t<Parts>>>());
}

/// True for trivially copyable classes whose members can't be listed: those may hide a pointer.
template <class T>
consteval bool is_opaque() {
  if constexpr (std::is_scalar_v<T> || standard_bytes<T> || !std::is_class_v<T>) {
    return std::is_union_v<T>;
  } else if constexpr (!bitwise<T>) {
    return false;
  } else if constexpr (has_known_members<T>) {
    return any_opaque(members_t<T>{});
  } else {
    return true;
  }
}

// --- padding --------------------------------------------------------------------------------------------------------

template <class T>
consteval bool is_padding_free();

template <class... Parts>
consteval bool fills(std::size_t size, TypeList<Parts...> /*parts*/) {
  if constexpr ((... || std::is_reference_v<Parts>))
    return false;
  else
    return (... && is_padding_free<std::remove_cv_t<Parts>>()) && (std::size_t{0} + ... + sizeof(Parts)) == size;
}

/// True when every byte of a bitwise T means something. May be false where that can't be told.
template <class T>
consteval bool is_padding_free() {
  using Value = std::remove_all_extents_t<T>;
  if constexpr (std::has_unique_object_representations_v<Value> || std::same_as<Value, float> ||
                std::same_as<Value, double> || std::same_as<Value, std::complex<float>> ||
                std::same_as<Value, std::complex<double>>) {
    return true;
  } else if constexpr (is_specialization<Value, std::chrono::duration>) {
    return is_padding_free<typename Value::rep>();
  } else if constexpr (std::is_class_v<Value> && has_known_members<Value>) {
    return fills(sizeof(Value), members_t<Value>{});
  } else {
    return false;
  }
}

/// Makes the padding of a trivially copyable object 0, so that equal values have equal bytes.
template <class T>
void clear_padding([[maybe_unused]] T& object) {
#if __has_builtin(__builtin_clear_padding)
  __builtin_clear_padding(&object);
#endif
}

}  // namespace detail
}  // namespace rankpool
