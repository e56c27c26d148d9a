// What an operation on a shared object leaves behind at each instruction at which its process may be killed: it is
// single-stepped, and from every state of the memory that shows up on the way the dead is buried.
#include <sys/ptrace.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "shared_world.hpp"

namespace rankpool::shared::test {
namespace {

constexpr ParticipantId victim = 2;
constexpr ParticipantId waiting = 4;
constexpr ParticipantId other_dead = 7;

using Operation = std::function<void(World&)>;
using Check = std::function<void(World&)>;

/// Every state of the world that the operation passes through in a process of its own.
std::vector<World::Snapshot> states_of(World& world, const Operation& operation) {
  std::vector<World::Snapshot> states{world.snapshot()};
  const pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    operation(world);
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  for (int steps = 0; WIFSTOPPED(status) && steps < 1'000'000; ++steps) {
    if (ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr) != 0) break;
    waitpid(pid, &status, 0);
    if (auto state = world.snapshot(); state != states.back()) states.push_back(std::move(state));
  }
  if (!WIFEXITED(status)) {
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
  }
  EXPECT_TRUE(WIFEXITED(status));
  return states;
}

/// Prepares a world, steps through the victim's operation in it, and checks what is left once the victim is buried:
/// also where another one is buried before, and where the dead has places at two objects.
template <class Section>
void step_through(Kind kind, const Operation& prepare, const Operation& operation, const Check& check) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the sanitizer makes too many steps of one";
#endif
  World world;
  Object& object = world.make(kind);
  Object& unrelated = world.make(Kind::lock);
  const std::uint64_t place = world.space->offset_of(object);
  const std::uint64_t unrelated_place = world.space->offset_of(unrelated);
  world.subject = place;
  prepare(world);
  const auto states = states_of(world, operation);
  ASSERT_GT(states.size(), 3U);
  for (std::size_t i = 0; i < states.size(); ++i) {
    for (const bool after_another : {false, true}) {
      SCOPED_TRACE("state " + std::to_string(i) + (after_another ? ", after another one" : ""));
      World left(states[i]);
      left.subject = place;
      left.gone[victim] = left.gone[other_dead] = true;
      if (after_another) Section(*left.space, left.object(), master).bury(other_dead);
      LockSection(*left.space, left.space->at(unrelated_place), master).bury(victim);
      Section(*left.space, left.object(), master).bury(victim);
      check(left);
      if (testing::Test::HasFailure()) return;
    }
  }
}

void enqueue(World& world, ParticipantId id, std::uint32_t group = 0) {
  Section section(*world.space, world.object(), id);
  section.enqueue(group);
  section.commit();
}
bool is_admitted(World& world, ParticipantId id) { return Section(*world.space, world.object(), id).is_admitted(); }

LockSection lock_of(World& world, ParticipantId id) { return {*world.space, world.object(), id}; }
SemaphoreSection semaphore_of(World& world, ParticipantId id) { return {*world.space, world.object(), id}; }
QueueSection queue_of(World& world, ParticipantId id) { return {*world.space, world.object(), id}; }

TEST(Killed, while_it_acquires_a_lock_that_is_free) {
  step_through<LockSection>(
      Kind::lock, [](World&) {}, [](World& world) { lock_of(world, victim).acquire(false); },
      [](World& world) { EXPECT_TRUE(lock_of(world, waiting).try_acquire(false)); });
}

TEST(Killed, while_it_queues_up_at_a_lock) {
  step_through<LockSection>(
      Kind::lock, [](World& world) { lock_of(world, other_dead).acquire(false); },
      [](World& world) { lock_of(world, victim).acquire(false); },
      [](World& world) {
        lock_of(world, master).bury(other_dead);
        EXPECT_EQ(lock_of(world, waiting).acquire(false), Acquired::now);
        EXPECT_EQ(lock_of(world, 1).acquire(false), Acquired::waits);
        EXPECT_FALSE(is_admitted(world, 1));
        lock_of(world, waiting).release();
        EXPECT_TRUE(is_admitted(world, 1));
        EXPECT_EQ(lock_of(world, 1).owner(), 1U);
      });
}

TEST(Killed, while_it_hands_a_lock_over) {
  step_through<LockSection>(
      Kind::lock,
      [](World& world) {
        lock_of(world, victim).acquire(false);
        lock_of(world, waiting).acquire(false);
      },
      [](World& world) { lock_of(world, victim).release(); },
      [](World& world) {
        EXPECT_EQ(lock_of(world, 1).owner(), waiting);
        EXPECT_TRUE(is_admitted(world, waiting));
        EXPECT_NE(world.space->participant(waiting).rings, 0U);
      });
}

TEST(Killed, while_it_goes_away_from_a_semaphore) {
  step_through<SemaphoreSection>(
      Kind::semaphore,
      [](World& world) {
        enqueue(world, victim);
        enqueue(world, waiting);
      },
      [](World& world) { wait(world, world.object(), victim, Clock::now()); },
      [](World& world) {
        semaphore_of(world, 1).release(1);
        EXPECT_TRUE(is_admitted(world, waiting));
        EXPECT_EQ(semaphore_of(world, 1).permits(), 0U);
      });
}

TEST(Killed, while_it_releases_a_semaphore) {
  step_through<SemaphoreSection>(
      Kind::semaphore, [](World& world) { enqueue(world, waiting); },
      [](World& world) { semaphore_of(world, victim).release(2); },
      [](World& world) {
        // All or nothing.
        const bool released = is_admitted(world, waiting);
        EXPECT_EQ(semaphore_of(world, 1).permits(), released ? 1U : 0U);
        EXPECT_EQ(world.space->participant(waiting).rings != 0, released);
      });
}

// Whoever was let in has been rung, or is when the dead is buried.
TEST(Killed, while_it_notifies_one_or_all_of_a_condition) {
  for (const bool all : {false, true}) {
    step_through<ConditionSection>(
        Kind::condition, [](World& world) { enqueue(world, waiting); },
        [all](World& world) {
          ConditionSection section(*world.space, world.object(), victim);
          if (all) {
            section.notify_all();
          } else {
            section.notify(1);
          }
        },
        [](World& world) {
          EXPECT_TRUE(is_admitted(world, waiting));
          EXPECT_NE(world.space->participant(waiting).rings, 0U);
        });
  }
}

TEST(Killed, while_it_sets_an_event) {
  step_through<EventSection>(
      Kind::event, [](World& world) { enqueue(world, waiting); },
      [](World& world) { EventSection(*world.space, world.object(), victim).set(); },
      [](World& world) {
        const bool set = EventSection(*world.space, world.object(), 1).is_set();
        EXPECT_EQ(is_admitted(world, waiting), set);
        EXPECT_EQ(world.space->participant(waiting).rings != 0, set);
      });
}

TEST(Killed, while_it_comes_to_a_barrier_as_the_last_or_the_first) {
  const auto comes = [](World& world) {
    static_cast<void>(BarrierSection(*world.space, world.object(), victim).arrive());
  };
  step_through<BarrierSection>(
      Kind::barrier,
      [](World& world) {
        BarrierSection(*world.space, world.object(), master).set(2);
        enqueue(world, waiting);
      },
      comes,
      [](World& world) {
        EXPECT_EQ(world.space->participant(waiting).rings != 0, is_admitted(world, waiting));
        // It is for two again, whether it was opened or the dead had not come.
        EXPECT_TRUE(is_admitted(world, waiting) || BarrierSection(*world.space, world.object(), 1).arrive());
      });
  step_through<BarrierSection>(
      Kind::barrier, [](World& world) { BarrierSection(*world.space, world.object(), master).set(2); }, comes,
      [](World& world) {
        EXPECT_FALSE(BarrierSection(*world.space, world.object(), waiting).arrive());
        EXPECT_TRUE(BarrierSection(*world.space, world.object(), 1).arrive());
      });
}

/// Items are their own first letter.
void put(World& world, ParticipantId id, char item) {
  EXPECT_EQ(queue_of(world, id).put(std::as_bytes(std::span(&item, 1))), Put::done);
}
std::string all_items(World& world) {
  std::string items;
  std::vector<std::byte> item;
  for (std::uint64_t left = queue_of(world, 1).size(); left != 0; --left) {
    EXPECT_EQ(queue_of(world, 1).get(item), Got::item);
    items += static_cast<char>(item.at(0));
  }
  return items;
}
void make_queue(World& world, std::uint64_t max) { queue_of(world, master).set(world.take(100), 100, max); }

TEST(Killed, while_it_puts_an_item_for_which_one_waits) {
  step_through<QueueSection>(
      Kind::queue,
      [](World& world) {
        make_queue(world, 0);
        enqueue(world, waiting, QueueSection::getters);
      },
      [](World& world) { put(world, victim, 'a'); },
      [](World& world) {
        const bool arrived = queue_of(world, 1).size() == 1;
        EXPECT_EQ(is_admitted(world, waiting), arrived);
        put(world, 1, 'b');
        std::vector<std::byte> item;
        ASSERT_EQ(queue_of(world, waiting).get_admitted(item), Got::item);
        EXPECT_EQ(all_items(world), arrived ? "b" : "");
      });
}

TEST(Killed, while_it_takes_the_item_that_was_promised) {
  step_through<QueueSection>(
      Kind::queue,
      [](World& world) {
        make_queue(world, 2);
        enqueue(world, victim, QueueSection::getters);
        enqueue(world, waiting, QueueSection::getters);
        put(world, 1, 'a');
        put(world, 1, 'b');
      },
      [](World& world) {
        std::vector<std::byte> item(1);
        queue_of(world, victim).get_admitted(item);
      },
      [](World& world) {
        const bool taken = queue_of(world, 1).size() == 1;
        std::vector<std::byte> item;
        EXPECT_EQ(queue_of(world, 1).get(item), taken ? Got::waits : Got::item);  // the other one has its promise still
        ASSERT_EQ(queue_of(world, waiting).get_admitted(item), Got::item);
        EXPECT_EQ(static_cast<char>(item.at(0)), 'b');
      });
}

TEST(Killed, while_it_fills_the_place_that_was_promised) {
  step_through<QueueSection>(
      Kind::queue,
      [](World& world) {
        make_queue(world, 1);
        put(world, 1, 'a');
        enqueue(world, victim, QueueSection::putters);
        EXPECT_EQ(all_items(world), "a");
      },
      [](World& world) { queue_of(world, victim).put_admitted(std::as_bytes(std::span("b", 1))); },
      [](World& world) {
        const std::string items = all_items(world);
        EXPECT_TRUE(items.empty() || items == "b") << items;
        put(world, 1, 'c');  // the place is free again
        EXPECT_EQ(all_items(world), "c");
      });
}

}  // namespace
}  // namespace rankpool::shared::test
