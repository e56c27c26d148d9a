/// @file
/// How a callable becomes the Initializer of a pool.
#pragma once

#include <type_traits>

#include <rankpool/detail/byte_buffer.hpp>
#include <rankpool/detail/callable.hpp>
#include <rankpool/detail/kernel.hpp>
#include <rankpool/options.hpp>

namespace rankpool {

template <class F>
requires(!std::same_as<F, Initializer>) Initializer::Initializer(const F& callable) {
  using Callable = std::decay_t<F>;
  if constexpr (detail::explain_callable<Callable>()) {
    constexpr bool takes_nothing = std::is_invocable_v<Callable&>;
    static_assert(takes_nothing,
                  "rankpool: the initializer is called without arguments; give its arguments with "
                  "rankpool::bind(f, args...).");
    if constexpr (takes_nothing) {
      detail::ByteBuffer state;
      detail::Shipped<Callable>::encode(callable, state);
      callable_.assign(state.data(), state.data() + state.size());
      kernel_ = &detail::kernel_for<Callable, void>;
    }
  }
}

}  // namespace rankpool
