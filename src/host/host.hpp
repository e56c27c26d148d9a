// A host: a node's executors and the shared-memory channel they are attached to, seen from the rank that leads the
// node.
//
//   lots ──post()──► channel ──claimed chunk by chunk──► executors (forked by the zygotes of the node's ranks)
//   listener ◄──poll()── outboxes (one ring per executor), deaths (written by the zygotes)
//
// One thread at a time uses a host. Beside one that is in wait(), another may do all but poll() and wait(); ring() may
// come from any thread at any time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "host/lot.hpp"

namespace rankpool::host {

class Host {
 public:
  virtual ~Host() = default;

  virtual void open_call(const CallImage& call) = 0;
  virtual void close_call(CallId call) = 0;
  /// Lets this_task::stop_requested() be true in the call's tasks, those that run and those that come. A call that is
  /// not open is ignored.
  virtual void stop_call(CallId call) = 0;

  /// Memory in the channel for a piece, page-aligned. Throws std::system_error (ENOMEM) with advice when there is none.
  virtual std::uint64_t allocate(std::size_t bytes) = 0;
  virtual void release(std::uint64_t offset) = 0;
  virtual std::byte* at(std::uint64_t offset) = 0;
  /// While the owner returned lives, what at() has given can be read and written, though its block may be released and
  /// the host gone. Null: not so.
  [[nodiscard]] virtual std::shared_ptr<const void> hold_memory() { return nullptr; }
  /// From inside HostListener::on_results: while the owner returned lives, what `encoded` shows stays as it is. To be
  /// let go of as poll() is called: one thread at a time. Null: not so.
  [[nodiscard]] virtual std::shared_ptr<const void> keep_results() { return nullptr; }

  virtual void post(const Lot& lot) = 0;
  /// Takes back what of the lot has not been claimed; reported by the next poll().
  virtual void retract(LotId lot) = 0;

  /// Whether a task of the lot has been claimed.
  [[nodiscard]] virtual bool has_begun(LotId lot) const = 0;

  /// Reports all that has happened. @returns false if nothing had.
  virtual bool poll(HostListener& listener) = 0;
  /// Sleeps until there may be something to poll, ring() is called or `timeout` is over.
  virtual void wait(std::chrono::nanoseconds timeout) = 0;
  /// The same where nobody waits for what may come: never spins.
  virtual void doze(std::chrono::nanoseconds timeout) { wait(timeout); }
  /// Whether a CPU of the node has nothing to do: looking for messages without a pause then costs no task its time.
  [[nodiscard]] virtual bool has_idle_cpu() = 0;
  /// Whether tasks posted here wait for an executor, so that the node does without news of others for a while.
  [[nodiscard]] virtual bool has_work_left() = 0;
  /// Ends a wait(); from any thread.
  virtual void ring() noexcept = 0;

  /// Whether tasks run in the threads that drive; released memory is no memory any more then.
  [[nodiscard]] virtual bool runs_inline() const { return false; }
  /// All memory that at() gives, and offsets in it.
  [[nodiscard]] virtual std::span<std::byte> memory() { return {}; }
  /// The host's executors find the participants in shared objects there from now on.
  virtual void show_participants(std::uint64_t /*table*/) {}
  /// Whether the slot's executor has ended, by looking at its process.
  [[nodiscard]] virtual bool executor_is_gone(std::uint32_t /*slot*/) { return false; }
  /// It does what no executor does: to be killed.
  virtual void distrust_executor(std::uint32_t /*slot*/) {}
  /// One that waits for a shared object, in another process than the host's executors, may go on; from any thread.
  virtual void ring_far() noexcept { ring(); }
  /// An answer to a question that is not open any more is dropped.
  virtual void answer(std::uint32_t /*slot*/, std::uint64_t /*number*/, detail::Bytes /*bytes*/) {}

  /// Gives the node up: starts no task any more and kills every executor. When they are gone, and all that ran has been
  /// reported, poll() tells the listener that the host is broken; the tasks it has not reported by then never started.
  virtual void break_down(const std::string& reason) = 0;

  /// Lets the executors leave when they are idle, and waits for them.
  virtual void shut_down() = 0;
  /// Kills every executor, whatever it does, and waits for them.
  virtual void kill() = 0;
};

}  // namespace rankpool::host
