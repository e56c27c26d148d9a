#include "host/executor.hpp"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include <rankpool/detail/code_address.hpp>
#include <rankpool/errors.hpp>

#include "host/crash_handler.hpp"
#include "host/executor_objects.hpp"
#include "host/stderr_tail.hpp"
#include "shared/access.hpp"
#include "support/spin.hpp"
#include "support/stop_signals.hpp"
#include "support/text.hpp"
#include "task/exception_image.hpp"

namespace rankpool::host {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// A reply that comes within this is worth more than the sleep and wake-up it saves (about 12 us on separate cores).
constexpr auto spin_time = 50us;

// A spare executor that nobody has needed for so long leaves.
constexpr auto stay_aside = 1s;

// Two switches between processes take longer: what woke this one runs on another CPU.
constexpr auto switch_time = 3us;

// An executor without work for this long lets go of the callables it has kept.
constexpr auto forget_calls_after = 100ms;

// Calls take turns after a chunk this long: the next call's callable and data are out of the caches then anyway.
constexpr auto worth_a_turn = 1ms;

// Callables kept loaded, so that concurrent calls don't load theirs for every chunk.
constexpr std::size_t kept_calls = 8;

constexpr std::uint64_t no_limit = ~std::uint64_t{0};

detail::Bytes callable_bytes(const CallHeader& image) {
  return {reinterpret_cast<const std::byte*>(&image + 1), image.callable_bytes};
}

const detail::Kernel* find_kernel(const CallHeader& image) {
  return static_cast<const detail::Kernel*>(detail::resolve(image.kernel));
}

}  // namespace

LoadedCall::LoadedCall(std::uint64_t id, const CallHeader& image)
    : id_(id), kernel_(find_kernel(image)), callable_(kernel_->load(callable_bytes(image))) {}

Executor::Executor(Channel& channel, std::uint32_t slot)
    : channel_(channel),
      slot_number_(slot),
      slot_(channel.slot(slot)),
      workplace_{.rank = channel.rank(slot),
                 .slot = static_cast<int>(slot),
                 .host = channel.header().settings.host.data(),
                 .seed = channel.header().settings.seed},
      results_(channel, slot),
      claimer_(channel, slot),
      objects_(channel, slot,
               {.on_blocked = [this] { return give_back_rest(); }, .on_held = [this] { results_.expect_tidying(); }}),
      tasks_left_(channel.header().settings.max_tasks_per_child) {
  if (tasks_left_ == 0) tasks_left_ = no_limit;
  shared::become_executor_of(channel.header().settings.pool, objects_);
}

void Executor::serve() {
  if (!initialize()) return;
  slot_.served.store(1, std::memory_order_release);
  slot_.state.store(SlotState::serving, std::memory_order_release);
  channel_.header().exited.insert(slot_number_);
  channel_.ring_leader();
  const auto measured = [this](std::uint64_t call) {
    for (const auto& loaded : calls_) {
      if (loaded.id() == call) return loaded.timer.tasks();
    }
    return std::uint64_t{0};
  };
  const bool is_spare = channel_.is_spare(slot_number_);
  for (;;) {
    if (is_spare && !is_needed() && !step_aside()) break;
    if (claimer_.claim(tasks_left_, measured)) {
      run_claimed();
      if (tasks_left_ == 0) break;
    } else if (channel_.header().phase.load(std::memory_order_seq_cst) != Phase::open) {
      break;
    } else if (is_spare) {
      if (!step_aside()) break;
    } else {
      wait_for_work();
    }
  }
  claimer_.let_go();
  retire();
}

bool Executor::initialize() {
  const std::uint64_t offset = channel_.header().settings.initializer;
  if (offset == 0) return true;
  results_.begin(no_lot, 0, 0);
  const task::CurrentWorkplace here(workplace_);
  try {
    try {
      const LoadedCall initializer(0, *reinterpret_cast<const CallHeader*>(channel_.at(offset)));
      initializer.run({.count = 1, .results = &results_});
    } catch (const BinaryMismatch& mismatch) {
      throw_mismatch(mismatch);
    }
  } catch (...) {
    const auto image = task::capture_current_exception();
    results_.fail_with({image.data(), image.size()});
  }
  results_.end(0);
  return results_.failures() == 0;
}

void Executor::run_claimed() {
  const ClaimedChunk& chunk = claimer_.chunk();
  const auto& image = *reinterpret_cast<const CallHeader*>(channel_.at(chunk.image));
  try {
    run_chunk(load(chunk.call, image));
  } catch (...) {
    // What lacks may be what other chunks have left here. If there were none, the next executor would lack it too.
    shared::end_task();
    if (has_run_) results_.make_way_if_full();
    fail_chunk(chunk);
    results_.make_way_if_full();
  }
  has_run_ = true;
  claimer_.finish_chunk();
  if (tasks_left_ != no_limit) tasks_left_ -= std::min(chunk.count, results_.tasks());
}

void Executor::run_chunk(LoadedCall& call) {
  const ClaimedChunk& chunk = claimer_.chunk();
  const auto& image = *reinterpret_cast<const CallHeader*>(channel_.at(chunk.image));
  const std::uint64_t skip = chunk.first - chunk.piece_first;
  detail::Chunk work{.inputs = channel_.at(chunk.data),
                     .stride = image.input_stride,
                     .offsets = nullptr,
                     .count = chunk.count,
                     .results = &results_};
  if (image.input_stride == detail::variable_stride) {
    work.offsets = reinterpret_cast<const std::uint64_t*>(channel_.at(chunk.offsets)) + skip;
  } else {
    work.inputs += skip * image.input_stride;
  }
  results_.begin(chunk.lot, chunk.first, call.kernel().result_stride);
  const task::TaskContext context{.results = &results_,
                                  .workplace = &workplace_,
                                  .call = chunk.call,
                                  .random_numbers = image.random_numbers,
                                  .attempt = chunk.attempt,
                                  .stop = &image.stop};
  const task::CurrentTask current(context);
  const auto start = Clock::now();
  call.run(work);
  const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start);
  shared::end_task();
  results_.end(elapsed.count());
  call.timer.record(std::min(chunk.count, results_.tasks()), elapsed.count());
  if (elapsed > worth_a_turn) claimer_.take_turns();
}

/// In the middle of a task, which waits for others: maybe for those behind it in the chunk.
/// @returns false where it is to be tried again.
bool Executor::give_back_rest() {
  if (task::current_task() == nullptr) return true;
  const std::uint64_t next = results_.running_task() + 1;
  if (!claimer_.has_from(next)) return true;
  if (!claimer_.give_back(next)) return false;
  results_.stop_after_this();
  return true;
}

// The callable could not be had: that is the error of each task.
void Executor::fail_chunk(const ClaimedChunk& chunk) {
  const auto image = task::capture_current_exception();
  results_.begin(chunk.lot, chunk.first, 0);
  for (std::uint64_t i = 0; i < chunk.count; ++i) results_.fail_with({image.data(), image.size()});
  results_.end(0);
}

LoadedCall& Executor::load(std::uint64_t call, const CallHeader& image) {
  if (!calls_.empty() && calls_.front().id() == call) return calls_.front();
  const auto known = std::ranges::find(calls_, call, &LoadedCall::id);
  if (known != calls_.end()) {
    calls_.splice(calls_.begin(), calls_, known);
    return *known;
  }
  if (calls_.size() == kept_calls) calls_.pop_back();
  try {
    return calls_.emplace_front(call, image);
  } catch (const BinaryMismatch& mismatch) {
    throw_mismatch(mismatch);
  }
}

void Executor::throw_mismatch(const BinaryMismatch& mismatch) const {
  throw BinaryMismatch("rankpool: rank " + std::to_string(workplace_.rank) + " on " + workplace_.host + ": " +
                       std::string(support::without_prefix(mismatch.what())));
}

bool Executor::sees_work() const {
  return channel_.header().open_lots.load(std::memory_order_seq_cst) != 0 ||
         channel_.header().phase.load(std::memory_order_seq_cst) != Phase::open;
}

/// As many spare ones serve as executors are blocked.
bool Executor::is_needed() const { return channel_.spares() <= channel_.header().blocked.size(channel_.slots()); }

/// Waits to be needed. @returns false where that is over: it leaves.
bool Executor::step_aside() {
  auto& header = channel_.header();
  claimer_.let_go();
  header.away.insert(slot_number_);
  // What came before that the leader has not called it for; all of them may have stepped aside at once.
  const bool is_missed = channel_.spares() < header.blocked.size(channel_.slots());
  if (is_missed && sees_work() && header.away.erase(slot_number_)) return true;
  const auto until = Clock::now() + stay_aside;
  while (Clock::now() < until && header.phase.load(std::memory_order_seq_cst) == Phase::open) {
    const std::uint32_t rings = slot_.bell.rings.load(std::memory_order_seq_cst);
    if (!header.away.contains(slot_number_)) return true;  // the leader has taken it out
    support::futex_wait(slot_.bell.rings, rings, stay_aside);
  }
  return !header.away.contains(slot_number_);
}

void Executor::wait_for_work() {
  channel_.ring_leader();
  if (spin_for_work()) return;
  auto& sleepers = channel_.header().sleepers;
  auto patience = std::chrono::nanoseconds(forget_calls_after);
  const auto asleep_since = Clock::now();
  for (;;) {
    const std::uint32_t rings = slot_.bell.rings.load(std::memory_order_seq_cst);
    sleepers.insert(slot_number_);
    if (sees_work()) break;
    support::futex_wait(slot_.bell.rings, rings, patience);
    if (sees_work()) break;
    calls_.clear();
    patience = std::chrono::nanoseconds::max();
  }
  sleepers.erase(slot_number_);
  if (const auto asleep = Clock::now() - asleep_since; asleep < switch_time) {
    trust_.renew();
  } else if (asleep < spin_time) {
    trust_.note_miss();
  }
}

// While it spins the leader need not wake others for what this one can take. Whoever stops spinning looks once more
// after it has entered the sleepers, so nothing that was left to it is lost.
bool Executor::spin_for_work() {
  if (!trust_.worth_trying()) return false;
  channel_.header().spinners.insert(slot_number_);
  const bool found = look_for_work();
  channel_.header().spinners.erase(slot_number_);
  return found;
}

// It doesn't yield: the leader counts on it, and would wake no other one while it waits for the CPU.
bool Executor::look_for_work() {
  auto& header = channel_.header();
  const auto deadline = Clock::now() + spin_time;
  do {
    const std::uint32_t awake = header.awake() + (header.sleeping.load(std::memory_order_relaxed) == 0 ? 1 : 0);
    if (awake > header.settings.cpus) return false;
    const std::int32_t cpu = sched_getcpu();
    if (cpu >= 0 && cpu == header.leader_cpu.load(std::memory_order_relaxed)) return false;  // it waits for us to sleep
    if (support::spin_round([this] { return sees_work(); })) {
      trust_.note_success();
      return true;
    }
  } while (Clock::now() < deadline);
  trust_.note_failure();
  return false;
}

void executor_main(Channel& channel, std::uint32_t slot) {
  task::mark_executor();
  support::leave_stop_signals_to_master();
  keep_stderr(channel, slot);
  dump_crashes_to(channel.last_words(slot).crash);
  Executor(channel, slot).serve();
}

}  // namespace rankpool::host
