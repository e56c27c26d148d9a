// Encoded inputs on their way into the channel: fills blocks of its memory with tasks and hands them over as pieces.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include <boost/container/small_vector.hpp>

#include <rankpool/detail/call.hpp>

#include "host/lot.hpp"

namespace rankpool::master {

/// Channel memory, as the builder needs it; implementations lock as they must.
class PieceMemory {
 public:
  PieceMemory() = default;
  PieceMemory(const PieceMemory&) = delete;
  PieceMemory& operator=(const PieceMemory&) = delete;
  virtual ~PieceMemory() = default;

  virtual std::uint64_t allocate(std::size_t bytes) = 0;
  virtual void release(std::uint64_t offset) = 0;
  virtual std::byte* at(std::uint64_t offset) = 0;
};

/// A piece that is complete, and the block that holds it.
struct BuiltPiece {
  host::Piece piece;
  std::uint64_t block = 0;
  std::uint64_t bytes = 0;
};

using BuiltPieces = boost::container::small_vector<BuiltPiece, 1>;

/// Pieces start with a few tasks, so that the first executors start at once, and grow while drawing them takes little
/// time; one ends early where drawing it is slow. Unless the input ends, a piece holds whole chunks.
class PieceBuilder final : public detail::PieceWriter {
 public:
  static constexpr std::uint64_t no_limit = ~std::uint64_t{0};

  /// `chunk`: tasks of a chunk where fixed, else 1. `first_tasks`: size of the first piece.
  PieceBuilder(PieceMemory& memory, std::size_t stride, std::uint64_t chunk, std::uint64_t first_tasks);
  ~PieceBuilder() override;

  [[nodiscard]] std::uint64_t room() const override;
  std::byte* append(std::uint64_t tasks) override;
  std::byte* append_encoded(std::size_t bytes) override;

  /// Lets room() be above 0 again after a piece has been completed, for at most so many tasks.
  void start_round(std::uint64_t most = no_limit);
  /// The input has ended: what there is is a piece.
  void finish();
  /// Takes the pieces completed since the last time.
  BuiltPieces take();

  [[nodiscard]] std::uint64_t drawn_tasks() const { return next_task_ + count_; }
  [[nodiscard]] std::uint64_t drawn_bytes() const { return bytes_before_ + used_; }

 private:
  using Clock = std::chrono::steady_clock;

  void begin_piece(std::size_t bytes);
  void grow(std::size_t bytes);
  void complete();
  [[nodiscard]] bool is_full() const;
  [[nodiscard]] bool is_time_to_look() const;
  [[nodiscard]] std::uint64_t piece_tasks() const;
  [[nodiscard]] bool variable() const { return stride_ == detail::variable_stride; }

  PieceMemory& memory_;
  std::size_t stride_;
  std::uint64_t chunk_;
  std::uint64_t target_tasks_;
  bool round_over_ = false;
  std::uint64_t most_ = no_limit;  ///< tasks of the call, for this round

  std::uint64_t block_ = 0;  ///< of the piece being filled; 0 none
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::uint64_t count_ = 0;
  std::vector<std::uint64_t> offsets_;
  Clock::time_point begun_;

  std::uint64_t next_task_ = 0;  ///< first task of the piece being filled
  std::uint64_t bytes_before_ = 0;
  BuiltPieces built_;
};

}  // namespace rankpool::master
