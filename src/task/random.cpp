#include "task/random.hpp"

#include <Random123/philox.h>

#include <optional>

#include <rankpool/random.hpp>

#include "task/this_task.hpp"

namespace rankpool {
namespace {

using Block = std::array<std::uint64_t, 2>;

constexpr unsigned word_bits = 32;

/// The numbers of the task that this thread runs, or ran last.
struct Current {
  std::uint64_t call = 0;
  std::uint64_t task = 0;
  std::uint32_t attempt = 0;
  std::optional<TaskRng> numbers;
};
thread_local Current current;

std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
std::uint32_t high(std::uint64_t value) { return static_cast<std::uint32_t>(value >> word_bits); }
std::uint64_t join(std::uint32_t low, std::uint32_t high) { return std::uint64_t{high} << word_bits | low; }

Block block_of(std::uint64_t key, std::uint64_t stream, std::uint64_t block) {
  const auto words = task::philox({low(block), high(block), low(stream), high(stream)}, {low(key), high(key)});
  return {join(words[0], words[1]), join(words[2], words[3])};
}

}  // namespace

std::array<std::uint32_t, 4> task::philox(const std::array<std::uint32_t, 4>& counter,
                                          const std::array<std::uint32_t, 2>& key) {
  using Philox = r123::Philox4x32_R<10>;
  const Philox::ctr_type words = Philox()({{counter[0], counter[1], counter[2], counter[3]}}, {{key[0], key[1]}});
  return {words[0], words[1], words[2], words[3]};
}

// Seed and call together are too long for a key; mixed by the cipher itself, they make one.
TaskRng task_rng(std::uint64_t seed, std::uint64_t index, std::uint64_t call) {
  constexpr std::uint64_t keys = ~std::uint64_t{0};  // a stream that no task has
  return {block_of(seed, keys, call)[0], index};
}

void TaskRng::refill() {
  numbers_ = block_of(key_, stream_, block_++);
  next_ = 0;
}

void TaskRng::discard(std::uint64_t count) {
  const std::uint64_t left = numbers_per_block - next_;
  if (count <= left) {
    next_ += count;
    return;
  }
  count -= left;
  block_ += count / numbers_per_block;
  refill();
  next_ = count % numbers_per_block;
}

TaskRng& this_task::rng() {
  const task::TaskContext& context = task::require_task("rng");
  const std::uint64_t task = context.results->running_task();
  if (!current.numbers || current.task != task || current.call != context.call || current.attempt != context.attempt) {
    current = {context.call, task, context.attempt, task_rng(context.workplace->seed, task, context.random_numbers)};
  }
  return *current.numbers;
}

void task::forget_random_numbers() noexcept { current.numbers.reset(); }

}  // namespace rankpool
