/// @file
/// The calls of Pool that give streams, for any range and callable, in terms of PoolCore.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/detail/call.hpp>
#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/fixed_size.hpp>
#include <rankpool/detail/inputs.hpp>
#include <rankpool/detail/pool_calls.hpp>
#include <rankpool/detail/stream_call.hpp>
#include <rankpool/detail/stream_inputs.hpp>
#include <rankpool/detail/stream_reader.hpp>
#include <rankpool/detail/stream_sizes.hpp>
#include <rankpool/options.hpp>
#include <rankpool/outcome.hpp>
#include <rankpool/result_stream.hpp>

namespace rankpool::detail {

// --- compile-time advice --------------------------------------------------------------------------------------------

/// @tparam Ranges as they were given: T& for a range with a name.
template <class... Ranges>
consteval bool explain_kept_ranges() {
  constexpr bool ranges = (... && input<Ranges&>);
  static_assert(ranges,
                "rankpool: imap and istarmap take a range: a container, a span, a view, or a list in braces. For one "
                "task use apply.");
  constexpr bool kept = (... && std::is_constructible_v<Ranges, Ranges&&>);
  static_assert(kept,
                "rankpool: a stream keeps its inputs, and this range can be neither moved nor copied into it. Give it "
                "a name and pass that; it must live as long as the stream.");
  return ranges && kept;
}

template <class Range>
consteval bool explain_kept_star_range() {
  if constexpr (explain_kept_ranges<Range>()) {
    constexpr bool unpacks = tuple_like<std::ranges::range_value_t<Range&>>;
    static_assert(unpacks,
                  "rankpool: istarmap takes tuples, pairs or arrays from its range, and unpacks each into the task's "
                  "arguments. For one argument per task use imap.");
    return unpacks;
  }
  return false;
}

// --- running --------------------------------------------------------------------------------------------------------

/// @returns how far ahead a stream may draw. Where the options leave it to the pool, at first as far as gives executors
/// work while the reader is busy for a moment, and two chunks each.
/// @param item_bytes what an item takes besides what travels.
inline ReadAhead read_ahead(const MapOptions& options, const PoolCore& core, std::uint64_t item_bytes) {
  const std::uint64_t given = options.buffersize.value("buffersize");
  if (given != 0) return ReadAhead::fixed(given);
  const auto executors = static_cast<std::uint64_t>(std::max(core.processes(), 1));
  const std::uint64_t largest = std::numeric_limits<std::uint64_t>::max() / (2 * executors);
  const std::uint64_t chunks = 2 * executors * std::min(options.chunksize.value("chunksize"), largest);
  return ReadAhead::automatic(std::max(16 * executors, chunks), 512 * executors, item_bytes);
}

/// Opens a stream on ranges with a source of the given type, and draws its first inputs.
template <Order order, class Source, class F, class... Ranges>
auto stream_ranges(PoolCore& core, std::string_view what, const MapOptions& options, const F& f, Ranges&&... ranges) {
  using ThisCall = Call<std::decay_t<F>, typename Source::Arguments>;
  if constexpr (ThisCall::sound) {
    using Result = typename ThisCall::Result;
    refuse_inside_task(what);
    CallSpec spec = call_spec(f, ThisCall::kernel, Source::stride, what);
    set_options(spec, options);
    const ReadAhead ahead = read_ahead(options, core, sizeof(Outcome<Result>));
    auto inputs = std::make_unique<KeptInputs<Source, Ranges...>>(std::forward<Ranges>(ranges)...);
    const std::optional<std::uint64_t> size = inputs->size();
    auto call = std::make_shared<StreamCall<Result>>(order);
    auto reader = std::make_shared<StreamReader<Result>>(call, std::move(inputs), ahead, spec.chunksize);
    core.start(spec, size, std::move(call));
    reader->prefetch();
    return ResultStream<Result>(std::move(reader));
  }
}

template <Order order, class F, class... Ranges>
auto imap(PoolCore& core, std::string_view what, const MapOptions& options, const F& f, Ranges&&... ranges) {
  if constexpr (explain_kept_ranges<Ranges...>()) {
    return stream_ranges<order, typename MapSource<Ranges&...>::type>(core, what, options, f,
                                                                      std::forward<Ranges>(ranges)...);
  }
}

template <Order order, class F, class Range>
auto istarmap(PoolCore& core, std::string_view what, const MapOptions& options, const F& f, Range&& range) {
  if constexpr (explain_kept_star_range<Range>()) {
    return stream_ranges<order, typename StarSource<Range&>::type>(core, what, options, f, std::forward<Range>(range));
  }
}

/// The elements of a list in braces, which the stream will outlive.
template <class T>
auto copy_of_list(std::initializer_list<T> elements) {
  using Element = std::conditional_t<std::is_same_v<T, const char*>, std::string, T>;
  return std::vector<Element>(elements.begin(), elements.end());
}

}  // namespace rankpool::detail
