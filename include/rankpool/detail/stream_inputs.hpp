/// @file
/// The inputs that a stream keeps, and its place in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <tuple>
#include <utility>

#include <rankpool/detail/call.hpp>
#include <rankpool/detail/inputs.hpp>
#include <rankpool/detail/stream_sizes.hpp>

namespace rankpool::detail {

/// Counts what is drawn, and remembers what drawing threw.
class StreamInputs : public InputSource {
 public:
  bool draw(PieceWriter& writer) final {
    Counter counter(writer, stride_, drawn_);
    try {
      return draw_from_ranges(counter);
    } catch (...) {
      error_ = std::current_exception();
      throw;
    }
  }

  /// What is drawn so far.
  [[nodiscard]] const Amount& drawn() const noexcept { return drawn_; }
  /// What drawing threw; null when it hasn't. Nothing is to be drawn after that.
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }

 protected:
  /// @param stride bytes of an input, where that is fixed.
  explicit StreamInputs(std::size_t stride) noexcept : stride_(stride) {}

  virtual bool draw_from_ranges(PieceWriter& writer) = 0;

 private:
  class Counter final : public PieceWriter {
   public:
    Counter(PieceWriter& writer, std::size_t stride, Amount& count) : writer_(writer), stride_(stride), count_(count) {}
    [[nodiscard]] std::uint64_t room() const override { return writer_.room(); }
    std::byte* append(std::uint64_t tasks) override {
      std::byte* const memory = writer_.append(tasks);
      count_.tasks += tasks;
      count_.bytes += tasks * stride_;
      return memory;
    }
    std::byte* append_encoded(std::size_t bytes) override {
      std::byte* const memory = writer_.append_encoded(bytes);
      ++count_.tasks;
      count_.bytes += bytes;
      return memory;
    }

   private:
    PieceWriter& writer_;
    std::size_t stride_;
    Amount& count_;
  };

  std::size_t stride_;
  Amount drawn_;
  std::exception_ptr error_;
};

/// Inputs from ranges.
/// @tparam Ranges T& for a range that is referred to, T for one that is owned.
template <class Source, class... Ranges>
class KeptInputs final : public StreamInputs {
 public:
  explicit KeptInputs(Ranges&&... ranges) : StreamInputs(Source::stride), ranges_(std::forward<Ranges>(ranges)...) {}

  [[nodiscard]] std::optional<std::uint64_t> size() const override { return size_; }

 protected:
  bool draw_from_ranges(PieceWriter& writer) override {
    // Not earlier: what begin() throws belongs to the first element, and is thrown in its place.
    if (!source_) std::apply([this](auto&... ranges) { source_.emplace(ranges...); }, ranges_);
    return source_->draw(writer);
  }

 private:
  std::tuple<Ranges...> ranges_;
  std::optional<std::uint64_t> size_ = std::apply([](auto&... ranges) { return zipped_size(ranges...); }, ranges_);
  std::optional<Source> source_;
};

}  // namespace rankpool::detail
