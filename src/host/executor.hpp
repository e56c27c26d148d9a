// An executor: the process that runs tasks. It claims chunks from the channel until the channel closes.
#pragma once

#include <cstdint>
#include <list>
#include <memory_resource>

#include <rankpool/detail/call.hpp>
#include <rankpool/errors.hpp>

#include "host/channel.hpp"
#include "host/claim.hpp"
#include "host/executor_objects.hpp"
#include "host/lot.hpp"
#include "host/outbox.hpp"
#include "scheduler/chunking.hpp"
#include "support/node_recycler.hpp"
#include "support/spin.hpp"
#include "task/this_task.hpp"

namespace rankpool::host {

/// A call's kernel and callable, ready to run here.
class LoadedCall {
 public:
  /// Throws what the callable's deserialization throws, BinaryMismatch when its module isn't loaded here.
  LoadedCall(std::uint64_t id, const CallHeader& image);
  LoadedCall(const LoadedCall&) = delete;
  LoadedCall& operator=(const LoadedCall&) = delete;
  ~LoadedCall() { kernel_->unload(callable_); }

  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] const detail::Kernel& kernel() const { return *kernel_; }
  void run(const detail::Chunk& chunk) const { kernel_->run(callable_, chunk); }

  scheduler::ChunkTimer timer;  ///< of this call's tasks, for automatic chunks

 private:
  std::uint64_t id_;
  const detail::Kernel* kernel_;
  void* callable_;
};

class Executor {
 public:
  Executor(Channel& channel, std::uint32_t slot);

  /// Runs the initializer, then chunks until the channel closes or max_tasks_per_child is reached.
  void serve();

 private:
  bool initialize();
  void run_claimed();
  void run_chunk(LoadedCall& call);
  void fail_chunk(const ClaimedChunk& chunk);
  LoadedCall& load(std::uint64_t call, const CallHeader& image);
  /// What its module's lack is called where several ranks might lack it.
  [[noreturn]] void throw_mismatch(const BinaryMismatch& mismatch) const;
  bool give_back_rest();
  [[nodiscard]] bool is_needed() const;
  [[nodiscard]] bool step_aside();
  void wait_for_work();
  bool spin_for_work();
  bool look_for_work();
  bool sees_work() const;
  void retire() { slot_.state.store(SlotState::retiring, std::memory_order_release); }

  Channel& channel_;
  std::uint32_t slot_number_;
  ExecutorSlot& slot_;
  task::Workplace workplace_;
  OutboxWriter results_;
  Claimer claimer_;
  ExecutorObjects objects_;
  support::SpinTrust trust_;
  support::NodeRecycler nodes_;
  std::pmr::list<LoadedCall> calls_{&nodes_};  ///< the last used first
  std::uint64_t tasks_left_;                   ///< until it retires
  bool has_run_ = false;                       ///< a chunk, to its end
};

/// What a forked executor does; the zygote calls it.
void executor_main(Channel& channel, std::uint32_t slot);

}  // namespace rankpool::host
