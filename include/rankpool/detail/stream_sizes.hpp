/// @file
/// How much a stream draws: how far ahead of its reader, and how many inputs at a time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace rankpool::detail {

/// Tasks, and the bytes of their inputs or results.
struct Amount {
  std::uint64_t tasks = 0;
  std::uint64_t bytes = 0;
};

/// How many inputs may be drawn ahead of the reader. Where the caller leaves that to the pool, as many as keep
/// executors busy, and more while a reader who has to wait for results reads those within a moment: what a round trip
/// to the executors costs is shared by more tasks then. It falls back when reading takes longer again, whether tasks or
/// reader have become slow, and when items become large.
class ReadAhead {
 public:
  using Clock = std::chrono::steady_clock;

  /// An automatic size grows until so long passes between the drawing of an input and the reading of its result.
  static constexpr Clock::duration target = std::chrono::milliseconds(10);
  /// Inputs and results ahead of the reader for which an automatic size grows.
  static constexpr std::uint64_t most_bytes = std::uint64_t{16} << 20U;

  /// As the caller has said.
  /// @param size not 0.
  static ReadAhead fixed(std::uint64_t size) noexcept { return ReadAhead(size, size, 0); }
  /// Measured.
  /// @param least what it starts with; not 0.
  /// @param most what it may grow to, where that is more.
  /// @param overhead bytes that a result takes besides what it travels as.
  static ReadAhead automatic(std::uint64_t least, std::uint64_t most, std::uint64_t overhead) noexcept {
    return ReadAhead(least, std::max(least, most), overhead);
  }

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

  /// The reader has had nothing to do for so long.
  void waited(Clock::duration time) noexcept { waited_ += time; }

  /// Tells how far things are, before inputs are drawn; all counts are from the stream's start.
  void learn(std::uint64_t read, Amount drawn, Amount arrived, Clock::time_point now) noexcept {
    if (least_ == most_) return;
    learn_time(read, now);
    input_bytes_.learn(drawn, least_);
    result_bytes_.learn(arrived, least_);
    const std::uint64_t item_bytes = overhead_ + input_bytes_.mean() + result_bytes_.mean();
    size_ = std::clamp(most_bytes / std::max<std::uint64_t>(item_bytes, 1), least_, size_);
  }

 private:
  /// What an item lately has.
  class MeanBytes {
   public:
    [[nodiscard]] std::uint64_t mean() const noexcept { return mean_; }
    /// @param enough fewer items than this say nothing yet.
    void learn(Amount now, std::uint64_t enough) noexcept {
      const std::uint64_t tasks = now.tasks - before_.tasks;
      if (tasks < enough) return;
      mean_ = (now.bytes - before_.bytes) / tasks;
      before_ = now;
    }

   private:
    Amount before_;
    std::uint64_t mean_ = 0;
  };

  /// A reader who waits for less than this part of the time gains nothing by more inputs.
  static constexpr int waiting_part = 8;

  ReadAhead(std::uint64_t least, std::uint64_t most, std::uint64_t overhead) noexcept
      : least_(least), most_(most), overhead_(overhead), size_(least) {}

  void learn_time(std::uint64_t read, Clock::time_point now) noexcept {
    if (!begun_) begun_ = now;
    const Clock::duration took = now - *begun_;
    const std::uint64_t items = read - read_before_;
    if (took > 2 * target) {
      const double in_time =
          static_cast<double>(items) * (static_cast<double>(target.count()) / static_cast<double>(took.count()));
      size_ = std::clamp(static_cast<std::uint64_t>(in_time), least_, size_);
    } else if (items < size_) {
      return;
    } else if (took < target / 2 && waited_ > took / waiting_part) {
      size_ += std::min(size_, most_ - size_);
    }
    begun_ = now;
    read_before_ = read;
    waited_ = Clock::duration::zero();
  }

  std::uint64_t least_;
  std::uint64_t most_;
  std::uint64_t overhead_;
  std::uint64_t size_;

  // Since all that was ahead of the reader has been read once:
  std::optional<Clock::time_point> begun_;
  std::uint64_t read_before_ = 0;
  Clock::duration waited_ = Clock::duration::zero();

  MeanBytes input_bytes_;
  MeanBytes result_bytes_;
};

/// How many inputs to draw at a time. A round that takes long ends after a few of them at the earliest: slow inputs are
/// drawn one by one, so that results need not wait for more than one, and quick ones many at once, which costs less.
class RoundSize {
 public:
  using Duration = std::chrono::steady_clock::duration;
  /// Where it ends to grow, unless a chunk is larger: results wait for a round, too.
  static constexpr std::uint64_t most = 4096;
  /// What a round is to take, at most.
  static constexpr Duration target = std::chrono::milliseconds(1);

  /// @param chunk tasks that are to stay together where there is room for them.
  explicit RoundSize(std::uint64_t chunk) noexcept
      : least_(std::max<std::uint64_t>(chunk, 1)), most_(std::max(least_, most)), tasks_(least_) {}

  /// @returns how many to draw where there is room for so many.
  [[nodiscard]] std::uint64_t within(std::uint64_t room) const noexcept { return whole_chunks(std::min(tasks_, room)); }

  /// A round of that size took so long.
  void learn(std::uint64_t tasks, Duration took) noexcept {
    if (took > target) {
      const auto slower = static_cast<std::uint64_t>(took / target);
      tasks_ = std::max(least_, whole_chunks(std::min(tasks, tasks_) / (slower + 1)));
    } else if (tasks >= tasks_ && tasks_ < most_) {
      const auto faster = static_cast<std::uint64_t>(target / std::max(took, Duration(1)));
      const std::uint64_t factor = std::clamp<std::uint64_t>(faster / 2, 1, growth);
      tasks_ = tasks_ > most_ / factor ? most_ : tasks_ * factor;
    }
  }

 private:
  static constexpr std::uint64_t growth = 16;

  [[nodiscard]] std::uint64_t whole_chunks(std::uint64_t tasks) const noexcept {
    return tasks > least_ ? tasks - tasks % least_ : tasks;
  }

  std::uint64_t least_;
  std::uint64_t most_;
  std::uint64_t tasks_;
};

}  // namespace rankpool::detail
