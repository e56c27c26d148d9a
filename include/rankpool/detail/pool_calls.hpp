/// @file
/// The calls of Pool, for any range and callable, in terms of PoolCore.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <ranges>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/detail/async_pool_calls.hpp>
#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/callable.hpp>
#include <rankpool/detail/future_call.hpp>
#include <rankpool/detail/inputs.hpp>
#include <rankpool/detail/kernel.hpp>
#include <rankpool/detail/results.hpp>
#include <rankpool/options.hpp>

namespace rankpool::detail {

/// What a call gives back for its tasks.
enum class Keep : std::uint8_t {
  values,    ///< the values, or the first error
  outcomes,  ///< the value or the error of each
  future,    ///< at once, what will be the values or the first error
};

template <class Range>
concept input = std::ranges::input_range<Range>;

// --- brace lists ----------------------------------------------------------------------------------------------------

/// F has one set of parameters, and it is one parameter.
template <class F>
concept takes_one = has_signature<F> && requires {
  requires std::tuple_size_v<arguments_of_t<F>>
  == 1;
};

template <takes_one F>
using parameter_t = std::tuple_element_t<0, arguments_of_t<F>>;

/// A list in braces whose elements have no type of their own. Being a conversion, it gives way to an
/// std::initializer_list whose elements have.
template <takes_one F>
struct ParameterList {
  ParameterList(std::initializer_list<parameter_t<F>> elements) : list(elements) {}  // NOLINT(google-explicit-*)
  std::initializer_list<parameter_t<F>> list;
};

// --- compile-time advice --------------------------------------------------------------------------------------------

template <class... Ranges>
consteval bool explain_ranges() {
  constexpr bool ranges = (... && input<Ranges>);
  static_assert(
      ranges,
      "rankpool: map and starmap take a range: a container, a span, a view, or a list in braces. For one task "
      "use apply.");
  if constexpr (ranges) {
    static_assert(!(... && endless<Ranges>),
                  "rankpool: this range has no end, and the call would never return. Take a part "
                  "of it (std::views::take), or zip it with a range that ends.");
    return !(... && endless<Ranges>);
  }
  return ranges;
}

template <class Range>
consteval bool explain_star_range() {
  if constexpr (explain_ranges<Range>()) {
    constexpr bool unpacks = tuple_like<std::ranges::range_value_t<Range>>;
    static_assert(unpacks,
                  "rankpool: starmap takes a range of tuples, pairs or arrays, and unpacks each into the task's "
                  "arguments. For one argument per task use map.");
    return unpacks;
  }
  return false;
}

/// The decayed result of `F(Args...)`; Sound is false where there is none, which the compiler has been told why.
template <class F, class Arguments>
struct Call;
template <class F, class... Args>
struct Call<F, TypeList<Args...>> {
  static constexpr bool sound = TaskResult<F, Args...>::sound && std::is_invocable_v<F&, Args...>;
  using Result = result_t<F, Args...>;
  static constexpr const Kernel* kernel = &kernel_for<F, Result, Args...>;
};

// --- running --------------------------------------------------------------------------------------------------------

template <class F>
CallSpec call_spec(const F& f, const Kernel* kernel, std::size_t stride, std::string_view what) {
  CallSpec spec;
  spec.kernel = kernel;
  Shipped<std::decay_t<F>>::encode(f, spec.callable);
  spec.input_stride = stride;
  spec.what = what;
  return spec;
}

/// Runs a call on ranges with a source of the given type.
template <Keep keep, class Source, class F, class... Ranges>
auto run_ranges(PoolCore& core, std::string_view what, const MapOptions& options, const F& f, Ranges&... ranges) {
  using ThisCall = Call<std::decay_t<F>, typename Source::Arguments>;
  if constexpr (ThisCall::sound) {
    using Result = typename ThisCall::Result;
    refuse_inside_task(what);
    CallSpec spec = call_spec(f, ThisCall::kernel, Source::stride, what);
    set_options(spec, options);
    Source source(ranges...);
    if constexpr (keep == Keep::future) {
      auto call = std::make_shared<MapCall<Result>>();
      if (const auto size = source.size()) call->reserve(*size);
      return start_call<typename MapResult<Result>::type>(core, spec, source, std::move(call));
    } else {
      std::conditional_t<keep == Keep::values, MapSink<Result>, OutcomeSink<Result>> sink;
      if (const auto size = source.size()) sink.reserve(*size);
      core.run(spec, source, sink);
      return sink.take();
    }
  }
}

template <Keep keep, class F, class... Ranges>
auto map(PoolCore& core, std::string_view what, const MapOptions& options, const F& f, Ranges&... ranges) {
  if constexpr (explain_ranges<Ranges&...>()) {
    return run_ranges<keep, typename MapSource<Ranges&...>::type>(core, what, options, f, ranges...);
  }
}

template <Keep keep, class F, class Range>
auto starmap(PoolCore& core, std::string_view what, const MapOptions& options, const F& f, Range& range) {
  if constexpr (explain_star_range<Range&>()) {
    return run_ranges<keep, typename StarSource<Range&>::type>(core, what, options, f, range);
  }
}

template <Keep keep, class F, class T>
auto map_list(PoolCore& core, std::string_view what, const MapOptions& options, const F& f,
              std::initializer_list<T> elements) {
  if constexpr (std::is_same_v<T, const char*>) {
    const std::vector<std::string> texts(elements.begin(), elements.end());
    return map<keep>(core, what, options, f, texts);
  } else {
    return map<keep>(core, what, options, f, elements);
  }
}

/// @tparam Args what the arguments travel as.
template <Keep keep, class... Args, class F>
auto apply_as(TypeList<Args...> /*types*/, PoolCore& core, std::string_view what, const F& f,
              const std::type_identity_t<Args>&... args) {
  using ThisCall = Call<std::decay_t<F>, TypeList<Args...>>;
  if constexpr (ThisCall::sound) {
    using Result = typename ThisCall::Result;
    refuse_inside_task(what);
    const CallSpec spec = call_spec(f, ThisCall::kernel, ApplySource<Args...>::stride, what);
    ApplySource<Args...> source(args...);
    if constexpr (keep == Keep::future) {
      return start_call<Result>(core, spec, source, std::make_shared<ApplyCall<Result>>());
    } else {
      ApplySink<Result> sink;
      core.run(spec, source, sink);
      return sink.take();
    }
  }
}

template <Keep keep, class F, class... Args>
auto apply(PoolCore& core, std::string_view what, const F& f, const Args&... args) {
  return apply_as<keep>(TypeList<travel_type_t<Args>...>{}, core, what, f, args...);
}

}  // namespace rankpool::detail
