// Queues in shared memory.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "shared_world.hpp"

namespace rankpool::shared::test {
namespace {

using namespace std::chrono_literals;

struct QueueTest : testing::Test {
  World world;
  Object& queue = world.make(Kind::queue);

  void set(std::uint64_t capacity, std::uint64_t max) {
    QueueSection(*world.space, queue, master).set(world.take(capacity), capacity, max);
  }
  QueueSection section(ParticipantId me) { return {*world.space, queue, me}; }

  Put put(ParticipantId me, const std::string& text, Deadline deadline = {}) {
    const std::span item = std::as_bytes(std::span(text));
    const Put first = section(me).put(item);
    if (first != Put::waits) return first;
    if (wait_for_turn(world, queue, me, deadline) == Waited::late) return Put::waits;
    return section(me).put_admitted(item);
  }
  /// @returns "-" when it is closed, "..." when it took too long.
  std::string get(ParticipantId me, Deadline deadline = {}) {
    std::vector<std::byte> item;
    Got got = section(me).get(item);
    if (got == Got::waits) {
      if (wait_for_turn(world, queue, me, deadline) == Waited::late) return "...";
      got = section(me).get_admitted(item);
    }
    if (got == Got::closed) return "-";
    return {reinterpret_cast<const char*>(item.data()), item.size()};
  }
};

TEST_F(QueueTest, gives_items_in_their_order_round_and_round_its_ring) {
  set(100, 0);
  for (int i = 0; i < 200; ++i) {
    const std::string one(static_cast<std::size_t>(i % 13), 'a');
    const std::string other = "item " + std::to_string(i);
    ASSERT_EQ(put(1, one), Put::done);
    ASSERT_EQ(put(1, other), Put::done);
    ASSERT_EQ(get(2), one);
    ASSERT_EQ(get(2), other);
  }
}

TEST_F(QueueTest, moves_to_a_larger_ring_when_it_is_full) {
  set(30, 0);
  ASSERT_EQ(put(1, "one"), Put::done);
  ASSERT_EQ(get(1), "one");
  ASSERT_EQ(put(1, "two"), Put::done);  // over the ring's end
  ASSERT_EQ(put(1, "three"), Put::done);
  ASSERT_EQ(put(1, "four"), Put::needs_room);
  section(master).move_to(world.take(60), 60);
  EXPECT_EQ(put(1, "four"), Put::done);
  EXPECT_EQ(get(1), "two");
  EXPECT_EQ(get(1), "three");
  EXPECT_EQ(get(1), "four");
}

TEST_F(QueueTest, holds_no_more_than_its_maximum) {
  set(1000, 2);
  ASSERT_EQ(put(1, "one"), Put::done);
  ASSERT_EQ(put(1, "two"), Put::done);
  EXPECT_EQ(put(1, "three", Clock::now() + 5ms), Put::waits);
  std::thread putter([&] { EXPECT_EQ(put(2, "four"), Put::done); });
  await_waiting(world, queue, 1, QueueSection::putters);
  EXPECT_EQ(get(1), "one");
  putter.join();
  EXPECT_EQ(get(1), "two");
  EXPECT_EQ(get(1), "four");
  EXPECT_EQ(get(1, Clock::now() + 5ms), "...");
}

TEST_F(QueueTest, keeps_an_item_for_who_has_waited_for_it) {
  set(1000, 0);
  std::string received;
  std::thread getter([&] { received = get(1); });
  await_waiting(world, queue, 1);
  ASSERT_EQ(put(2, "first"), Put::done);
  EXPECT_EQ(get(3, Clock::now() + 5ms), "...");
  getter.join();
  EXPECT_EQ(received, "first");
}

TEST_F(QueueTest, gives_what_one_does_not_want_any_more_to_the_next) {
  set(1000, 0);
  std::vector<std::byte> item;
  ASSERT_EQ(section(1).get(item), Got::waits);
  std::thread next([&] { EXPECT_EQ(get(2), "one"); });
  await_waiting(world, queue, 2);
  ASSERT_EQ(put(3, "one"), Put::done);
  section(1).give_up();
  next.join();
  EXPECT_EQ(put(3, "two"), Put::done);
  EXPECT_EQ(get(4), "two");
}

TEST_F(QueueTest, that_is_closed_gives_what_it_has_and_takes_nothing) {
  set(1000, 1);
  ASSERT_EQ(put(1, "last"), Put::done);
  std::thread putter([&] { EXPECT_EQ(put(2, "late"), Put::closed); });
  await_waiting(world, queue, 1, QueueSection::putters);
  section(1).close();
  putter.join();
  EXPECT_EQ(put(1, "later"), Put::closed);
  EXPECT_EQ(get(1), "last");
  EXPECT_EQ(get(1), "-");
}

TEST_F(QueueTest, that_is_closed_sends_away_who_waits_for_items) {
  set(1000, 1);
  std::thread getter([&] { EXPECT_EQ(get(1), "-"); });
  await_waiting(world, queue, 1);
  section(2).close();
  getter.join();
}

TEST_F(QueueTest, passes_each_item_of_many_to_one_of_many) {
  set(400, 3);
  constexpr int items = 5000;
  std::vector<std::vector<std::string>> received(3);
  std::vector<std::thread> threads;
  for (int producer = 0; producer < 2; ++producer) {
    threads.emplace_back([&, producer] {
      for (int i = 0; i < items; ++i) {
        ASSERT_EQ(put(static_cast<ParticipantId>(1 + producer), std::to_string(2 * i + producer)), Put::done);
      }
    });
  }
  std::vector<std::thread> consumers;
  for (std::size_t consumer = 0; consumer < received.size(); ++consumer) {
    consumers.emplace_back([&, consumer] {
      for (std::string item; (item = get(static_cast<ParticipantId>(10 + consumer))) != "-";) {
        received[consumer].push_back(item);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  section(1).close();
  for (std::thread& thread : consumers) thread.join();
  std::map<int, int> times;
  for (const auto& mine : received) {
    std::vector<int> last{-1, -1};
    for (const std::string& item : mine) {
      const int number = std::stoi(item);
      ++times[number];
      EXPECT_GT(number, last[static_cast<std::size_t>(number % 2)]);
      last[static_cast<std::size_t>(number % 2)] = number;
    }
  }
  EXPECT_EQ(times.size(), 2U * items);
  EXPECT_TRUE(std::ranges::all_of(times, [](const auto& entry) { return entry.second == 1; }));
}

// Getters are killed at any moment: an item may go down with its getter, but no other, and none comes twice.
TEST_F(QueueTest, survives_kills_at_any_moment) {
  set(400, 4);
  constexpr std::uint64_t kills = 300;
  constexpr ParticipantId getters = 3;
  std::vector<std::atomic<std::uint64_t>*> times;
  auto* first = &world.number();
  for (std::uint64_t i = 1; i < 1000; ++i) times.push_back(&world.number());
  auto& received = *first;
  const auto consume = [&](ParticipantId me) {
    for (std::string item; (item = get(me)) != "-";) {
      const std::uint64_t number = std::stoull(item);
      ++*times[number % times.size()];
      ++received;
    }
  };
  std::vector<std::unique_ptr<Child>> children;
  for (ParticipantId me = 1; me <= getters; ++me) {
    children.push_back(std::make_unique<Child>([&, me] { consume(me); }));
  }
  std::atomic<bool> enough = false;
  std::uint64_t items = 0;
  std::thread producer([&] {
    for (; !enough; ++items) ASSERT_EQ(put(10, std::to_string(items)), Put::done);
  });
  std::mt19937 random(2);
  for (std::uint64_t i = 0; i < kills; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
    const ParticipantId victim = 1 + static_cast<ParticipantId>(random() % getters);
    children[victim - 1]->end();
    world.gone[victim] = true;
    QueueSection(*world.space, queue, master).bury(victim);
    world.gone[victim] = false;
    children[victim - 1] = std::make_unique<Child>([&, victim] { consume(victim); });
  }
  enough = true;
  producer.join();
  section(10).close();
  for (const auto& child : children) EXPECT_TRUE(child->succeeded());
  EXPECT_LE(received, items);
  EXPECT_GE(received + kills, items);
  const std::uint64_t most = items / times.size() + 1;
  EXPECT_TRUE(std::ranges::all_of(times, [&](const auto* count) { return *count <= most; }));
  EXPECT_GT(items, 10 * kills);
}

}  // namespace
}  // namespace rankpool::shared::test
