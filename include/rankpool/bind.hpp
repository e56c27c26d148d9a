/// @file
/// Functions that inline, and functions with some arguments given: `rankpool::fn<f>` and `rankpool::bind(f, args...)`.
#pragma once

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <rankpool/detail/callable.hpp>
#include <rankpool/detail/codec.hpp>
#include <rankpool/detail/signature.hpp>

namespace rankpool {

/// A function known at compile time, so that a pool's calls of it inline: `pool.map(rankpool::fn<square>, xs)`.
/// Stateless; may be called from any thread. Python: none.
template <auto f>
struct Fn {
  /// Calls the function, or the member of the first argument.
  /// @returns and throws what it does.
  template <class... Args>
  requires std::is_invocable_v<decltype(f), Args...>
  constexpr decltype(auto) operator()(Args&&... args) const
      noexcept(std::is_nothrow_invocable_v<decltype(f), Args...>) {
    if constexpr (std::is_member_pointer_v<decltype(f)>)
      return std::invoke(f, std::forward<Args>(args)...);
    else
      return f(std::forward<Args>(args)...);
  }
};

/// @tparam f a function or a pointer to a member function.
template <auto f>
inline constexpr Fn<f> fn{};

/// A callable with its first arguments given; made by bind(). Mirrors the object that `functools.partial` gives.
///
/// A plain value type: const members may be called from several threads at once, calling it not. Every executor calls a
/// copy of its own.
template <class F, class... Bound>
class Binding {
 public:
  /// @param f the callable.
  /// @param args its first arguments, as they travel: a string literal as std::string.
  Binding(F f, std::tuple<Bound...> args) : callable_(std::move(f)), bound_(std::move(args)) {}

  /// Calls the callable with the bound arguments, as constants, and then `args`.
  /// @returns and throws what the callable does.
  template <class... Args>
  requires std::is_invocable_v<F&, const Bound&..., Args...>
  decltype(auto) operator()(Args&&... args) {
    return std::apply(
        [&](const Bound&... bound) -> decltype(auto) {
          return std::invoke(callable_, bound..., std::forward<Args>(args)...);
        },
        bound_);
  }

  /// @returns the callable. Python: `partial.func`.
  [[nodiscard]] const F& callable() const { return callable_; }
  /// @returns the arguments given. Python: `partial.args`.
  [[nodiscard]] const std::tuple<Bound...>& bound() const { return bound_; }

 private:
  F callable_;
  std::tuple<Bound...> bound_;
};

/// Gives a callable its first arguments, as Python's functools.partial does: `pool.map(bind(simulate, config), seeds)`
/// calls `simulate(config, seed)`. The arguments travel once per call of the pool and host, not once per task, through
/// serialization, and so may be of any type that travels. They are not checked for pointers: when a number in a
/// lambda's captures looks like a pointer, bind it instead.
/// May be called from any thread.
/// @param f any callable that travels; gets the arguments as constants.
/// @param args what it is given first, copied or moved into the binding.
template <class F, class... Args>
[[nodiscard]] auto bind(F&& f, Args&&... args) {
  using Callable = std::decay_t<F>;
  (void)detail::explain_callable<Callable>();
  (void)(... && detail::explain_travel<detail::travel_type_t<Args>>());
  return Binding<Callable, detail::travel_type_t<Args>...>(std::forward<F>(f), {std::forward<Args>(args)...});
}

namespace detail {

template <class F, class... Bound>
struct CallableExplanation<Binding<F, Bound...>> : CallableExplanation<F> {};

/// The callable's state with its length before it, then the bound arguments.
template <class F, class... Bound>
struct Shipped<Binding<F, Bound...>> {
  static constexpr bool stateless = false;

  static void encode(const Binding<F, Bound...>& binding, ByteBuffer& buffer) {
    append_frame(buffer, [&] { Shipped<F>::encode(binding.callable(), buffer); });
    std::apply([&buffer](const Bound&... bound) { encode_args_append(buffer, bound...); }, binding.bound());
  }

  static Binding<F, Bound...> decode(Bytes bytes) {
    const Bytes state = take_frame(bytes);
    return Binding<F, Bound...>(Shipped<F>::decode(state), decode_args<std::tuple<Bound...>>(bytes));
  }
};

/// The parameters that are still open.
template <class Parameters, class... Bound>
struct DropBound;
template <class... Parameters>
struct DropBound<TypeList<Parameters...>> : Signature<void (*)(Parameters...)> {};
template <class First, class... Parameters, class FirstBound, class... Bound>
struct DropBound<TypeList<First, Parameters...>, FirstBound, Bound...> : DropBound<TypeList<Parameters...>, Bound...> {
};

template <class F, class... Bound>
requires has_signature<F>
struct Signature<Binding<F, Bound...>> : DropBound<typename Signature<F>::Parameters, Bound...> {
};

}  // namespace detail
}  // namespace rankpool
