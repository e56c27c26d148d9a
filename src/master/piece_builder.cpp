#include "master/piece_builder.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace rankpool::master {
namespace {

// A piece of this size stays in a core's cache between the master's copy and the executor's read.
constexpr std::size_t piece_bytes = std::size_t{256} << 10U;
// Bounds the account that is kept of each task of a lot.
constexpr std::uint64_t most_tasks = std::uint64_t{1} << 16U;
// Executors must not wait longer than this for inputs that are drawn slowly.
constexpr std::chrono::microseconds draw_time{1000};
// While drawing a long piece of fixed stride, at least; between two, with one of variable stride.
constexpr std::uint64_t looks = 16;
constexpr std::uint64_t between_looks = 8;

constexpr std::uint64_t whole_chunks(std::uint64_t tasks, std::uint64_t chunk) {
  return std::max(chunk, tasks / chunk * chunk);
}

}  // namespace

PieceBuilder::PieceBuilder(PieceMemory& memory, std::size_t stride, std::uint64_t chunk, std::uint64_t first_tasks)
    : memory_(memory), stride_(stride), chunk_(std::max<std::uint64_t>(chunk, 1)), target_tasks_(first_tasks) {
  target_tasks_ = whole_chunks(std::max<std::uint64_t>(first_tasks, 1), chunk_);
}

PieceBuilder::~PieceBuilder() {
  if (block_ != 0) memory_.release(block_);
  for (const BuiltPiece& piece : built_) memory_.release(piece.block);
}

std::uint64_t PieceBuilder::room() const {
  if (round_over_ || drawn_tasks() >= most_) return 0;
  // A piece that has to hold a chunk of many tasks is not reserved at once: the input may end long before.
  const std::uint64_t at_once =
      variable() || stride_ == 0 ? most_tasks : std::max<std::uint64_t>(piece_bytes / stride_, 1);
  const std::uint64_t wanted =
      std::min({at_once, count_ < piece_tasks() ? piece_tasks() - count_ : 1, most_ - drawn_tasks()});
  // How long drawing takes is known only afterwards: look at the clock after 1, 2, 4, ... chunks, and often enough.
  return std::min({wanted, whole_chunks(2 * count_, chunk_) - count_, whole_chunks(piece_tasks() / looks, chunk_)});
}

/// Tasks of the piece being filled, where its bytes don't end it before.
std::uint64_t PieceBuilder::piece_tasks() const {
  if (variable() || stride_ == 0) return target_tasks_;
  return std::min(target_tasks_, whole_chunks(piece_bytes / stride_, chunk_));
}

std::byte* PieceBuilder::append(std::uint64_t tasks) {
  const std::size_t bytes = tasks * stride_;
  if (block_ == 0) begin_piece(std::max(bytes, std::min(piece_bytes, piece_tasks() * stride_)));
  if (bytes > capacity_ - used_) grow(bytes);
  std::byte* to = memory_.at(block_) + used_;
  used_ += bytes;
  count_ += tasks;
  // The caller fills the memory after this; the piece is handed over by take(), when the draw is over.
  if (is_full()) complete();
  return to;
}

std::byte* PieceBuilder::append_encoded(std::size_t bytes) {
  // The table of offsets comes behind the tasks; its room is kept free, so that completing a piece copies nothing.
  const std::size_t with_table = bytes + (offsets_.size() + 3) * sizeof(std::uint64_t);
  if (block_ == 0) {
    const std::size_t fitting = target_tasks_ > piece_bytes / with_table ? piece_bytes : target_tasks_ * with_table;
    begin_piece(std::max(with_table, fitting + fitting / 4));
  }
  if (with_table > capacity_ - used_) grow(with_table);
  std::byte* to = memory_.at(block_) + used_;
  offsets_.push_back(used_);
  used_ += bytes;
  ++count_;
  if (is_full()) round_over_ = true;
  return to;
}

bool PieceBuilder::is_full() const {
  if (count_ % chunk_ != 0) return false;
  if (is_time_to_look() && Clock::now() - begun_ > draw_time) return true;
  if (!variable()) return count_ >= piece_tasks();
  return count_ >= target_tasks_ || used_ >= piece_bytes;
}

/// Tasks of variable size come one by one, each quicker than a look at the clock maybe.
bool PieceBuilder::is_time_to_look() const {
  return !variable() || std::has_single_bit(count_) || count_ % between_looks == 0;
}

void PieceBuilder::begin_piece(std::size_t bytes) {
  block_ = memory_.allocate(bytes);
  capacity_ = bytes;
}

void PieceBuilder::grow(std::size_t bytes) {
  const std::size_t wanted = std::max(2 * capacity_, used_ + bytes);
  const std::uint64_t larger = memory_.allocate(wanted);
  std::memcpy(memory_.at(larger), memory_.at(block_), used_);
  memory_.release(std::exchange(block_, larger));
  capacity_ = wanted;
}

void PieceBuilder::complete() {
  if (variable()) {
    offsets_.push_back(used_);
    const std::size_t table = (used_ + alignof(std::uint64_t) - 1) / alignof(std::uint64_t) * alignof(std::uint64_t);
    const std::size_t table_bytes = offsets_.size() * sizeof(std::uint64_t);
    std::memcpy(memory_.at(block_) + table, offsets_.data(), table_bytes);
    built_.push_back({{block_, block_ + table, next_task_, count_}, block_, used_});
    offsets_.clear();
  } else {
    built_.push_back({{block_, 0, next_task_, count_}, block_, used_});
  }
  const auto took = Clock::now() - begun_;
  if (took < draw_time / 2) target_tasks_ = std::min(2 * target_tasks_, std::max(most_tasks, chunk_));
  if (took > 2 * draw_time) target_tasks_ = target_tasks_ / 2;
  target_tasks_ = whole_chunks(std::max<std::uint64_t>(target_tasks_, 1), chunk_);
  next_task_ += std::exchange(count_, 0);
  bytes_before_ += std::exchange(used_, 0);
  block_ = 0;
  capacity_ = 0;
  round_over_ = true;
}

void PieceBuilder::start_round(std::uint64_t most) {
  if (count_ != 0 && is_full()) complete();
  if (count_ == 0) begun_ = Clock::now();
  most_ = most > no_limit - drawn_tasks() ? no_limit : drawn_tasks() + most;
  round_over_ = false;
}

void PieceBuilder::finish() {
  if (count_ != 0) complete();
}

BuiltPieces PieceBuilder::take() {
  if (count_ != 0 && is_full()) complete();
  return std::exchange(built_, {});
}

}  // namespace rankpool::master
