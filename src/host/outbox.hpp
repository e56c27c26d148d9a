// An executor's outbox: the writing side of its ring of records, as kernels see it.
#pragma once

#include <cstdint>
#include <vector>

#include <rankpool/detail/call.hpp>

#include "host/channel.hpp"
#include "host/record.hpp"

namespace rankpool::host {

/// Writes runs of results straight into shared memory, so that what has ended survives the executor.
class OutboxWriter final : public detail::ResultWriter {
 public:
  OutboxWriter(Channel& channel, std::uint32_t slot);

  /// Starts the results of a chunk whose first task is `first`.
  void begin(std::uint64_t lot, std::uint64_t first, std::uint64_t result_stride);
  /// From inside a task: it is the last of the chunk that is run here.
  void stop_after_this() {
    tasks_ = running_task() + 1 - chunk_first_;
    row_end_ = finished_->load(std::memory_order_relaxed) + 1;
  }
  /// From inside a task: it may leave a lock locked, which is to be given back when it ends.
  void expect_tidying() {
    row_end_ = finished_->load(std::memory_order_relaxed) + 1;
    task_leaves_something_ = true;
  }
  /// Publishes the chunk's last run. `nanoseconds`: time of the whole chunk.
  void end(std::int64_t nanoseconds);
  /// A task ended with the exception whose image this is.
  void fail_with(detail::Bytes image);
  /// Called while an exception is handled, not the initializer's: where memory is limited and that is a lack of it, and
  /// what is lacking stays taken, the process ends, and a fresh executor runs the tasks of the chunk that have not
  /// ended.
  void make_way_if_full();
  /// Tasks that have failed so far.
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

  void fail() override;
  void fail_encoding() override;

 private:
  void make_room(std::size_t bytes) override;
  void tidy_up() override;

  void open_run(std::uint64_t first, std::size_t bytes);
  void close_run(std::int64_t nanoseconds);
  RecordHeader* place_record(std::uint64_t payload);
  void wait_for_space(std::uint64_t bytes);
  /// @param what the memory is for, in words. Throws std::system_error when there is none.
  LentBlock borrow_block(std::size_t bytes, const char* what);
  void publish(std::uint64_t span);
  void write_failure(std::uint64_t task, detail::Bytes image);

  Channel& channel_;
  std::uint32_t slot_number_;
  ExecutorSlot& slot_;
  std::byte* ring_;
  RecordHeader* run_ = nullptr;  ///< open run
  std::byte* payload_ = nullptr;
  std::uint64_t lot_ = 0;
  std::uint64_t chunk_first_ = 0;
  std::uint64_t result_stride_ = 0;
  std::uint64_t failures_ = 0;
  std::uint64_t memory_limit_ = 0;  ///< 0: none, or no fresh executor would have more left
  std::vector<LentBlock> blocks_;   ///< lent so far, as far as is remembered
  std::atomic<std::uint64_t> no_run_{0};
};

}  // namespace rankpool::host
