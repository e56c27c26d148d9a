// A host without processes: wait() runs the tasks in the caller's own thread, for debuggers and profilers.
//
// wait(), because whoever drives the engine calls it without the engine's lock: other threads may close or terminate
// the pool while a task runs. A task can't be killed here: its time is not limited.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "host/host.hpp"
#include "task/this_task.hpp"

namespace rankpool::host {

class InlineHost final : public Host {
 public:
  InlineHost(std::int32_t rank, std::string host_name, std::optional<CallImage> initializer, std::uint64_t seed = 0);
  ~InlineHost() override;

  void open_call(const CallImage& call) override;
  void close_call(CallId call) override;
  void stop_call(CallId call) override;
  std::uint64_t allocate(std::size_t bytes) override;
  void release(std::uint64_t offset) override;
  std::byte* at(std::uint64_t offset) override;
  void post(const Lot& lot) override;
  void retract(LotId lot) override;
  [[nodiscard]] bool has_begun(LotId lot) const override;
  bool poll(HostListener& listener) override;
  /// Runs a chunk if there is one, and sleeps otherwise.
  void wait(std::chrono::nanoseconds timeout) override;
  [[nodiscard]] bool has_idle_cpu() override { return false; }
  [[nodiscard]] bool has_work_left() override { return false; }
  void ring() noexcept override;
  [[nodiscard]] bool runs_inline() const override { return true; }
  [[nodiscard]] std::span<std::byte> memory() override { return {static_cast<std::byte*>(nullptr), SIZE_MAX}; }
  void break_down(const std::string&) override {}  // it leads no node, and can't lose one
  void shut_down() override {}
  void kill() override;

 private:
  static constexpr std::align_val_t page{4096};
  struct Free {
    void operator()(std::byte* memory) const noexcept { ::operator delete(memory, page); }
  };
  using Block = std::unique_ptr<std::byte, Free>;
  class Call;
  class Results;
  struct Event;

  std::deque<Lot>::iterator next_lot();
  void run_initializer();
  void run_chunk(Call& call, const Lot& lot, std::uint64_t first, std::uint64_t count);
  void report(const Event& event, HostListener& listener) const;

  [[nodiscard]] Place place() const { return {workplace_.rank, workplace_.slot}; }

  std::string host_name_;
  task::Workplace workplace_;
  std::optional<CallImage> initializer_;
  std::unordered_map<std::uint64_t, Block> blocks_;  ///< by address

  mutable std::mutex mutex_;  ///< for what follows: wait() works on it while others post
  std::condition_variable work_;
  bool rung_ = false;
  std::unordered_map<CallId, std::shared_ptr<Call>> calls_;
  std::deque<Lot> lots_;
  CallId last_call_ = 0;      ///< whose chunk ran last
  std::deque<Event> events_;  ///< for the next poll()
};

}  // namespace rankpool::host
