/// @file
/// Memory with shared objects, for threads and for forked processes that may be killed.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "shared/lock.hpp"
#include "shared/queue.hpp"
#include "shared/semaphore.hpp"
#include "shared/signals.hpp"
#include "support/spin.hpp"

namespace rankpool::shared::test {

using Clock = std::chrono::steady_clock;

inline constexpr std::uint32_t places = 70;  // more than one word of bits
inline constexpr ParticipantId master = places;

class World {
 public:
  World() : base_(map()), top_(round_up(table + Space::bytes(places))) {
    Space::create(base_ + table, {.participants = places, .near = places});
    space.emplace(std::span(base_, bytes), table, [this](ParticipantId id, const Object&) -> bool { return gone[id]; });
  }
  /// All there was in use of another world, at a moment.
  using Snapshot = std::vector<std::byte>;
  explicit World(const Snapshot& from) : base_(map()), top_(from.size()) {
    std::ranges::copy(from, base_);
    space.emplace(std::span(base_, bytes), table, [this](ParticipantId id, const Object&) -> bool { return gone[id]; });
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() { munmap(base_, bytes); }

  Object& make(Kind kind) { return space->make(take(Object::bytes(places)), ++last_id_, kind); }
  std::uint64_t take(std::size_t size) { return std::exchange(top_, round_up(top_ + size)); }
  /// A number that all processes see.
  std::atomic<std::uint64_t>& number() {
    return *new (base_ + take(sizeof(std::uint64_t))) std::atomic<std::uint64_t>(0);
  }

  [[nodiscard]] Snapshot snapshot() const { return {base_, base_ + top_}; }
  /// The object that a test is about.
  Object& object() { return space->at(subject); }

  std::uint64_t subject = 0;
  std::optional<Space> space;
  std::array<std::atomic<bool>, places + 1> gone{};  ///< participants that have been killed

 private:
  static constexpr std::uint64_t table = 64;
  static constexpr std::size_t bytes = std::size_t{1} << 20U;
  static std::uint64_t round_up(std::uint64_t offset) { return (offset + 63) / 64 * 64; }
  static std::byte* map() {
    return static_cast<std::byte*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  }

  std::byte* base_;
  std::uint64_t top_;
  std::uint64_t last_id_ = 0;
};

/// Spins for a while, then sleeps.
inline void rest(Participant& mine, std::uint32_t rings, std::chrono::nanoseconds time) {
  const auto spin_until = Clock::now() + std::chrono::microseconds(50);
  while (Clock::now() < spin_until) {
    if (support::spin_round([&] { return mine.rings.load() != rings; })) return;
  }
  mine.sleep(rings, time);
}

inline Waited wait_for_turn(World& world, Object& object, ParticipantId me, Deadline deadline) {
  return shared::wait_for_turn(*world.space, object, me, deadline, rest);
}

inline Waited wait(World& world, Object& object, ParticipantId me, Deadline deadline) {
  const Waited waited = wait_for_turn(world, object, me, deadline);
  if (waited == Waited::admitted) leave_queue(*world.space, object, me);
  return waited;
}

inline bool lock(World& world, Object& object, ParticipantId me, Deadline deadline = {}, bool recursive = false) {
  switch (LockSection(*world.space, object, me).acquire(recursive)) {
    case Acquired::now:
      return true;
    case Acquired::mine_already:
      return false;
    case Acquired::waits:
      break;
  }
  return wait(world, object, me, deadline) == Waited::admitted;
}

inline bool unlock(World& world, Object& object, ParticipantId me) {
  return LockSection(*world.space, object, me).release();
}

/// Waits until so many wait for the object.
inline void await_waiting(World& world, Object& object, std::uint64_t count, std::uint32_t group = 0) {
  const auto end = Clock::now() + std::chrono::seconds(20);
  while (Section(*world.space, object, master).count_waiting(group) != count) {
    ASSERT_LT(Clock::now(), end);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/// A process that does something and is killed when this ends, or before.
class Child {
 public:
  explicit Child(const std::function<void()>& body) : pid_(fork()) {
    if (pid_ != 0) return;
    alarm(100);
    body();
    _exit(0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { end(); }

  /// @returns its wait status.
  int end(int signal = SIGKILL) {
    int status = 0;
    if (pid_ == 0) return 0;
    if (signal != 0) kill(pid_, signal);
    waitpid(std::exchange(pid_, 0), &status, 0);
    return status;
  }
  /// @returns whether it ended by itself, in order.
  bool succeeded() { return end(0) == 0; }

 private:
  pid_t pid_;
};

}  // namespace rankpool::shared::test
