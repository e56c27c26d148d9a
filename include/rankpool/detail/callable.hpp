/// @file
/// The callables a pool takes, and how the state of each becomes bytes and a callable again.
///
///   function, pointer to one        its place in the program (CodeAddress)
///   pointer to member function      the same; a virtual one is refused
///   lambda or functor, no captures  nothing
///   with trivially copyable ones    its bytes, padding cleared, checked for pointers
///   functor with `serialize`        its archive
///   Binding                         its callable, then the bound arguments (bind.hpp)
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <rankpool/detail/bitwise.hpp>
#include <rankpool/detail/byte_buffer.hpp>
#include <rankpool/detail/code_address.hpp>
#include <rankpool/detail/codec.hpp>
#include <rankpool/detail/signature.hpp>
#include <rankpool/export.hpp>

namespace rankpool::detail {

/// Looks at each 8-byte-aligned word of an object for a pointer into this process. Thread-safe; cheap when there is
/// none.
/// @param object the object's bytes, padding cleared.
/// @param type the object's type as typeid names it.
/// @throws PointerCapture naming type, word and value, and the way out.
RANKPOOL_API void check_for_pointers(Bytes object, const char* type);

/// The same for a value about to be sent whose members the compiler could not list; nothing for other types.
template <class T>
void check_value_for_pointers([[maybe_unused]] const T& value) {
  if constexpr (is_opaque<T>()) {
    std::array<std::byte, sizeof(T)> bytes;
    encode_fixed(value, bytes.data());
    check_for_pointers(bytes, typeid(T).name());
  } else if constexpr (contiguous_container<T>) {
    if (!value.empty()) check_value_for_pointers(value.front());
  } else if constexpr (is_specialization<T, std::pair> || is_specialization<T, std::tuple>) {
    std::apply([](const auto&... parts) { (check_value_for_pointers(parts), ...); }, value);
  }
}

/// The state of a callable F as bytes: `encode` on the master, `decode` makes F again in an executor, to be called with
/// std::invoke.
template <class F>
struct Shipped;

template <class F>
concept function_pointer = std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>;

/// A class without members whose objects are all alike.
template <class F>
concept stateless_class = std::is_empty_v<F> &&
    (std::is_trivially_copyable_v<F> || std::is_default_constructible_v<F>)&&!has_serialize<F>;

template <class F>
concept captures_bytes =
    std::is_class_v<F> && !std::is_empty_v<F> && std::is_trivially_copyable_v<F> && !has_serialize<F>;

template <function_pointer F>
struct Shipped<F> {
  static constexpr bool stateless = false;
  static void encode(const F& function, ByteBuffer& buffer) {
    if (function == nullptr) throw std::invalid_argument("rankpool: the function pointer to call is null");
    const CodeAddress address = address_of(reinterpret_cast<const void*>(function));
    buffer.append(&address, sizeof(address));
  }
  static F decode(Bytes bytes) { return std::bit_cast<F>(resolve(detail::decode<CodeAddress>(bytes))); }
};

/// A pointer to a member function in the Itanium C++ ABI.
struct MemberFunctionParts {
  const void* function;
  std::ptrdiff_t adjustment;

  /// @throws std::invalid_argument when it is null or virtual.
  RANKPOOL_API void check() const;
};

struct ShippedMemberFunction {
  CodeAddress function;
  std::int64_t adjustment;
};

template <class F>
requires std::is_member_function_pointer_v<F>
struct Shipped<F> {
  static_assert(sizeof(F) == sizeof(MemberFunctionParts),
                "rankpool: pointers to member functions need the Itanium ABI");
  static constexpr bool stateless = false;
  static void encode(const F& member, ByteBuffer& buffer) {
    const auto parts = std::bit_cast<MemberFunctionParts>(member);
    parts.check();
    const ShippedMemberFunction shipped{address_of(parts.function), parts.adjustment};
    buffer.append(&shipped, sizeof(shipped));
  }
  static F decode(Bytes bytes) {
    const auto shipped = detail::decode<ShippedMemberFunction>(bytes);
    return std::bit_cast<F>(
        MemberFunctionParts{resolve(shipped.function), static_cast<std::ptrdiff_t>(shipped.adjustment)});
  }
};

template <stateless_class F>
struct Shipped<F> {
  static constexpr bool stateless = true;
  static void encode(const F& /*callable*/, ByteBuffer& /*buffer*/) {}
  static F decode(Bytes bytes) {
    if (!bytes.empty()) [[unlikely]]
      throw_too_long("a callable without state", bytes.size());
    // A captureless lambda may have no default constructor, and has no bytes that matter.
    if constexpr (std::is_trivially_copyable_v<F>)
      return std::bit_cast<F>(std::byte{});
    else
      return F{};
  }
};

template <captures_bytes F>
struct Shipped<F> {
  static constexpr bool stateless = false;
  static void encode(const F& callable, ByteBuffer& buffer) {
    alignas(F) std::array<std::byte, sizeof(F)> copy;
    std::memcpy(copy.data(), static_cast<const void*>(&callable), sizeof(F));
    clear_padding(*reinterpret_cast<F*>(copy.data()));
    check_for_pointers(copy, typeid(F).name());
    buffer.append(copy.data(), copy.size());
  }
  static F decode(Bytes bytes) {
    if (bytes.size() < sizeof(F)) [[unlikely]]
      throw_too_short("a callable", sizeof(F), bytes.size());
    if (bytes.size() > sizeof(F)) [[unlikely]]
      throw_too_long("a callable", bytes.size() - sizeof(F));
    std::array<std::byte, sizeof(F)> copy;
    std::memcpy(copy.data(), bytes.data(), sizeof(F));
    return std::bit_cast<F>(copy);
  }
};

template <class F>
requires(std::is_class_v<F>&& has_serialize<F>) struct Shipped<F> {
  static constexpr bool stateless = false;
  static void encode(const F& callable, ByteBuffer& buffer) { encode_append(callable, buffer); }
  static F decode(Bytes bytes) { return detail::decode<F>(bytes); }
};

// --- compile-time advice --------------------------------------------------------------------------------------------

template <class F>
struct CallableExplanation {
  static constexpr bool is_function_wrapper = is_specialization<F, std::function>;
  static_assert(!is_function_wrapper,
                "rankpool: a std::function can't be sent: it hides what it holds. Give the function, lambda or functor "
                "itself, or rankpool::bind(f, args...).");
  static_assert(is_function_wrapper || !std::is_class_v<F> || has_serialize<F> || stateless_class<F> ||
                    std::is_trivially_copyable_v<F>,
                "rankpool: this lambda or functor holds values that are not trivially copyable (a string, a vector), "
                "and those can't be taken out of it. Make them parameters and give them with rankpool::bind(f, value); "
                "a functor may have a serialize function instead.");
  static_assert(std::is_class_v<F> || function_pointer<F> || std::is_member_function_pointer_v<F>,
                "rankpool: this is not a callable that can be sent: give a function, a lambda, a functor, a pointer to "
                "a member function, rankpool::fn<f> or rankpool::bind(f, args...).");
  static constexpr bool value = (std::is_class_v<F> && !is_function_wrapper &&
                                 (has_serialize<F> || stateless_class<F> || std::is_trivially_copyable_v<F>)) ||
                                function_pointer<F> || std::is_member_function_pointer_v<F>;
};

/// A compile error with advice when F, decayed, can't be sent.
template <class F>
consteval bool explain_callable() {
  return CallableExplanation<F>::value;
}

/// Each question asked on its own, where && may stop at the first no, so that the user reads all advice at once.
consteval bool all_hold(std::same_as<bool> auto... answers) { return (... && answers); }

template <class Result>
consteval bool explain_result() {
  using Value = std::remove_cv_t<Result>;
  constexpr bool reference = std::is_reference_v<Result> || is_specialization<Value, std::reference_wrapper>;
  constexpr bool pointer = std::is_pointer_v<Result>;
  constexpr bool view = view_of_others<Value> && !reference;
  static_assert(!reference,
                "rankpool: the task returns a reference, whose object stays behind in another process. "
                "Return a value.");
  static_assert(!pointer,
                "rankpool: the task returns a pointer, which means nothing in this process. Return the value "
                "it points to; for text, a std::string.");
  static_assert(!view,
                "rankpool: the task returns a view (std::string_view, std::span) of memory in another process. "
                "Return a std::string or a std::vector.");
  if constexpr (reference || pointer || view)
    return false;
  else if constexpr (std::is_void_v<Result>)
    return true;
  else
    return explain_travel<Value>();
}

template <class F, class... Args>
consteval bool explain_call() {
  constexpr bool callable = std::is_invocable_v<F&, Args...>;
  constexpr bool changes_arguments = !callable && std::is_invocable_v<F&, Args&...>;
  static_assert(!changes_arguments,
                "rankpool: the task takes an argument by non-const reference (or a span of non-const): it would change "
                "a copy in another process, and the change would be lost. Take it by value or const reference and "
                "return the result.");
  static_assert(callable || changes_arguments,
                "rankpool: the task can't be called with these arguments. For an overloaded function or one with "
                "default arguments, give a lambda that calls it.");
  return callable;
}

template <bool Sound, class F, class... Args>
struct CheckedResult {
  using type = void;
};
template <class F, class... Args>
struct CheckedResult<true, F, Args...> {
  using Raw = std::invoke_result_t<F&, Args...>;
  using type = std::conditional_t<explain_result<Raw>(), std::decay_t<Raw>, void>;
};

template <bool Sound, class F, class... Args>
inline constexpr bool call_is_sound = false;
template <class F, class... Args>
inline constexpr bool call_is_sound<true, F, Args...> = explain_call<F, Args...>();

/// The decayed result of a task `f(args...)`, with a compile error and advice for what can't be sent or called.
/// @tparam Args the arguments' types as the user gives them.
template <class F, class... Args>
struct TaskResult {
  static constexpr bool sound = all_hold(explain_callable<F>(), explain_travel<Args>()...);
  using type = typename CheckedResult<call_is_sound<sound, F, Args...>, F, Args...>::type;
};
template <class F, class... Args>
using result_t = typename TaskResult<std::decay_t<F>, travel_type_t<Args>...>::type;

}  // namespace rankpool::detail
