/// @file
/// The inputs of calls: ranges walked and encoded in the caller's thread, no further than the library asks for.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <rankpool/detail/call.hpp>
#include <rankpool/detail/callable.hpp>
#include <rankpool/detail/codec.hpp>
#include <rankpool/detail/members.hpp>

namespace rankpool::detail {

/// The type of which a range's elements travel.
template <class Range>
using element_t = travel_type_t<std::ranges::range_value_t<Range>>;

template <class T>
inline constexpr bool is_std_array = false;
template <class T, std::size_t N>
inline constexpr bool is_std_array<std::array<T, N>> = true;

/// What starmap unpacks.
template <class T>
concept tuple_like = is_specialization<T, std::tuple> || is_specialization<T, std::pair> || is_std_array<T>;

/// The types of a tuple, pair or array as a TypeList; `void` for anything else.
template <class T>
struct Unpacked {
  using type = void;
};
template <tuple_like T>
struct Unpacked<T> {
  template <std::size_t... I>
  static TypeList<travel_type_t<std::tuple_element_t<I, T>>...> list(std::index_sequence<I...>);
  using type = decltype(list(std::make_index_sequence<std::tuple_size_v<T>>{}));
};

template <class Range>
inline constexpr bool endless = std::same_as<std::ranges::sentinel_t<Range>, std::unreachable_sentinel_t>;

/// @returns the number of elements of ranges that are walked together, where they tell.
template <class... Ranges>
std::optional<std::uint64_t> zipped_size(Ranges&... ranges) {
  if constexpr ((... && (std::ranges::sized_range<Ranges> || endless<Ranges>)) && !(... && endless<Ranges>)) {
    auto size = static_cast<std::uint64_t>(-1);
    const auto shorten = [&size](auto& range) {
      if constexpr (std::ranges::sized_range<decltype(range)>) {
        size = std::min(size, static_cast<std::uint64_t>(std::ranges::size(range)));
      }
    };
    (shorten(ranges), ...);
    return size;
  } else {
    return std::nullopt;
  }
}

/// A place in one or more ranges that are walked together. A step is taken only when the next element is asked for,
/// since a step in a single-pass range may cost, block, or throw what belongs to the next element.
template <class... Ranges>
class Walk {
 public:
  explicit Walk(Ranges&... ranges) : at_(std::ranges::begin(ranges)...), ends_(std::ranges::end(ranges)...) {}

  /// Steps over an element that was taken.
  /// @returns false at the end of any of the ranges.
  bool has_element() {
    if (std::exchange(taken_, false)) std::apply([](auto&... at) { (static_cast<void>(++at), ...); }, at_);
    return [this]<std::size_t... I>(std::index_sequence<I...>) {
      return (... && (std::get<I>(at_) != std::get<I>(ends_)));
    }
    (std::index_sequence_for<Ranges...>{});
  }

  void take() { taken_ = true; }

  /// @returns false where it is certain that nothing is left, and finding out has no effect.
  bool may_have_element() {
    if constexpr ((... && std::ranges::forward_range<Ranges>))
      return has_element();
    else
      return true;
  }

 protected:
  std::tuple<std::ranges::iterator_t<Ranges>...> at_;

 private:
  std::tuple<std::ranges::sentinel_t<Ranges>...> ends_;
  bool taken_ = false;
};

/// Walks one or more ranges: a task gets an element of each.
template <class... Ranges>
class ZipWalk : public Walk<Ranges...> {
 public:
  using Arguments = TypeList<element_t<Ranges>...>;
  using Walk<Ranges...>::Walk;

  /// Calls `use` with the current elements; it takes `const T&...` for Arguments' T...
  void visit(auto&& use) {
    std::apply([&use](auto&... at) { use(*at...); }, this->at_);
  }
};

/// Walks a range of tuples, pairs or arrays: a task gets the parts of one.
template <class Range>
class StarWalk : public Walk<Range> {
 public:
  using Element = std::ranges::range_value_t<Range>;
  using Arguments = typename Unpacked<Element>::type;
  using Walk<Range>::Walk;

  void visit(auto&& use) {
    auto&& element = *std::get<0>(this->at_);
    [&]<std::size_t... I>(std::index_sequence<I...>) { use(std::get<I>(element)...); }
    (std::make_index_sequence<std::tuple_size_v<Element>>{});
  }
};

/// Looks through the arguments of a call's first task for pointers the compiler can't see; nothing for the others.
class FirstTaskCheck {
 public:
  template <class... Args>
  void operator()(const Args&... args) {
    if constexpr ((... || worth_checking<Args>)) {
      if (std::exchange(first_, false)) (check_value_for_pointers(args), ...);
    }
  }

 private:
  template <class T>
  static constexpr bool worth_checking =
      is_opaque<T>() || contiguous_container<T> || is_specialization<T, std::pair> || is_specialization<T, std::tuple>;

  bool first_ = true;
};

/// Draws tasks of a fixed size: some in a buffer here, then all at once to the writer, which costs it a virtual call.
template <class TypeList>
struct FixedDrawing;

template <class... Args>
struct FixedDrawing<TypeList<Args...>> {
  static constexpr std::size_t stride = args_stride<Args...>;
  static constexpr std::size_t batch = std::max<std::size_t>(1, std::size_t{4096} / std::max<std::size_t>(stride, 1));

  static void encode([[maybe_unused]] std::byte* to, const Args&... args) {
    ((encode_fixed(args, to), to += fixed_bytes<Args>), ...);
  }

  static bool draw(auto& walk, FirstTaskCheck& check, PieceWriter& writer) {
    for (std::uint64_t room = writer.room(); room > 0; room = writer.room()) {
      bool more = true;
      if constexpr (batch == 1) {
        more = walk.has_element();
        if (more) {
          walk.visit([&](const Args&... args) {
            check(args...);
            encode(writer.append(1), args...);
          });
          walk.take();
        }
      } else {
        more = draw_batch(walk, check, writer, static_cast<std::size_t>(std::min<std::uint64_t>(room, batch)));
      }
      if (!more) return false;
    }
    return walk.may_have_element();
  }

 private:
  static bool draw_batch(auto& walk, FirstTaskCheck& check, PieceWriter& writer, std::size_t most) {
    std::array<std::byte, batch * std::max<std::size_t>(stride, 1)> buffer;
    std::size_t tasks = 0;
    const auto hand_over = [&] {
      if (tasks != 0) std::memcpy(writer.append(tasks), buffer.data(), tasks * stride);
    };
    bool more = true;
    try {
      while (tasks < most && (more = walk.has_element())) {
        walk.visit([&](const Args&... args) {
          check(args...);
          encode(buffer.data() + tasks * stride, args...);
        });
        walk.take();
        ++tasks;
      }
    } catch (...) {
      hand_over();  // what was drawn before the range threw stands
      throw;
    }
    hand_over();
    return more;
  }
};

/// Draws tasks whose size varies, one by one.
template <class TypeList>
struct VariableDrawing;

template <class... Args>
struct VariableDrawing<TypeList<Args...>> {
  static bool draw(auto& walk, FirstTaskCheck& check, PieceWriter& writer) {
    while (writer.room() > 0) {
      if (!walk.has_element()) return false;
      walk.visit([&](const Args&... args) {
        check(args...);
        encode_args([&writer](std::size_t bytes) { return writer.append_encoded(bytes); }, args...);
      });
      walk.take();
    }
    return walk.may_have_element();
  }
};

template <class TypeList>
inline constexpr std::size_t list_stride = 0;
template <class... Args>
inline constexpr std::size_t list_stride<TypeList<Args...>> = args_stride<Args...>;

/// The inputs of a call on ranges.
template <class Walk>
class RangeSource final : public InputSource {
 public:
  using Arguments = typename Walk::Arguments;
  static constexpr std::size_t stride = list_stride<Arguments>;

  template <class... Ranges>
  explicit RangeSource(Ranges&... ranges) : size_(zipped_size(ranges...)), walk_(ranges...) {}

  bool draw(PieceWriter& writer) override {
    if constexpr (stride != not_fixed)
      return FixedDrawing<Arguments>::draw(walk_, check_, writer);
    else
      return VariableDrawing<Arguments>::draw(walk_, check_, writer);
  }

  [[nodiscard]] std::optional<std::uint64_t> size() const override { return size_; }

 private:
  std::optional<std::uint64_t> size_;  // asked for before the first step
  Walk walk_;
  FirstTaskCheck check_;
};

/// The inputs of a call on elements of a fixed size that follow one another in memory.
template <class Element, class Arguments_>
class RunSource final : public InputSource {
 public:
  using Arguments = Arguments_;
  static constexpr std::size_t stride = list_stride<Arguments>;
  static_assert(stride == fixed_bytes<Element>);

  template <class Range>
  explicit RunSource(Range& range)
      : at_(std::ranges::data(range)), left_(static_cast<std::uint64_t>(std::ranges::size(range))), size_(left_) {}

  bool draw(PieceWriter& writer) override {
    if (left_ != 0) check_(*at_);
    while (left_ != 0) {
      const std::uint64_t tasks = std::min(writer.room(), left_);
      if (tasks == 0) return true;
      encode_fixed_run<Element>(at_, static_cast<std::size_t>(tasks), writer.append(tasks));
      at_ += tasks;
      left_ -= tasks;
    }
    return false;
  }

  [[nodiscard]] std::optional<std::uint64_t> size() const override { return size_; }

 private:
  const Element* at_;
  std::uint64_t left_;
  std::uint64_t size_;
  FirstTaskCheck check_;
};

/// The elements of Range, of a fixed size as Element, can be copied run by run.
template <class Range, class Element = std::ranges::range_value_t<Range>>
concept copied_range = std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> && fixed_size<Element> &&
    fixed_bytes<Element>
!= 0 && std::same_as<std::remove_cvref_t<std::ranges::range_reference_t<Range>>, Element>;

/// The source of a call of map on Ranges (as types of lvalues).
template <class... Ranges>
struct MapSource {
  using type = RangeSource<ZipWalk<Ranges...>>;
};
template <copied_range Range>
struct MapSource<Range> {
  using type = RunSource<std::ranges::range_value_t<Range>, TypeList<std::ranges::range_value_t<Range>>>;
};

/// The source of a call of starmap on Range.
template <class Range>
struct StarSource {
  using type = RangeSource<StarWalk<Range>>;
};
template <copied_range Range>
struct StarSource<Range> {
  using type = RunSource<std::ranges::range_value_t<Range>, typename Unpacked<std::ranges::range_value_t<Range>>::type>;
};

/// The one task of `apply`.
template <class... Args>
class ApplySource final : public InputSource {
 public:
  static constexpr std::size_t stride = args_stride<Args...>;

  explicit ApplySource(const Args&... args) : args_(args...) {}

  bool draw(PieceWriter& writer) override {
    if (drawn_) return false;
    if (writer.room() == 0) return true;
    std::apply(
        [&writer](const Args&... args) {
          (check_value_for_pointers(args), ...);
          if constexpr (stride != not_fixed)
            FixedDrawing<TypeList<Args...>>::encode(writer.append(1), args...);
          else
            encode_args([&writer](std::size_t bytes) { return writer.append_encoded(bytes); }, args...);
        },
        args_);
    drawn_ = true;
    return false;
  }

  [[nodiscard]] std::optional<std::uint64_t> size() const override { return 1; }

 private:
  std::tuple<const Args&...> args_;
  bool drawn_ = false;
};

}  // namespace rankpool::detail
