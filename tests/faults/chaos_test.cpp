// Executors are killed all the time, at random, by somebody outside the pool, while thousands of tasks run, some of
// which end their executor themselves, throw, hang, or carry a megabyte. Whatever happens to whom: every result is
// right, is delivered once, and none is lost.
//
//   CHAOS_SEED=7 CHAOS_SEEDS=5 CHAOS_TASKS=20000 CHAOS_FULL=1 ./chaos_test
//
// What a task does depends on seed and index alone. The seeds are 7 to 11 here; the one of each run is printed. In a
// full run every case has all tasks, otherwise only the first.
#include "pool/pool_test.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ranges>
#include <set>
#include <thread>
#include <vector>

#include <unistd.h>

#include "faults/storm.hpp"

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)

/// Runs `act` on a storm of a part of the tasks, one in `share`, for each seed, and expects so many kills.
template <class Act>
void for_each_seed(Mix mix, std::uint64_t share, const Act& act, std::uint64_t least_kills = 0) {
  if (std::getenv("CHAOS_FULL") != nullptr) share = 1;
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds(); ++seed) {
    Storm storm(seed, std::max<std::uint64_t>(1, all_tasks() / share), mix);
    act(storm);
    EXPECT_GE(storm.finish(), least_kills);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(ChaosPlan, is_the_same_for_the_same_seed_and_another_for_another) {
  const auto indices = std::views::iota(std::uint64_t{0}, std::uint64_t{1000});
  for (const Mix mix : {Mix::calm, Mix::wild}) {
    const auto plans = pool().map([mix](std::uint64_t i) { return plan_of(7, i, mix); }, indices);
    int same = 0;
    for (const std::uint64_t i : indices) {
      EXPECT_EQ(plans[i], plan_of(7, i, mix)) << i;
      same += plans[i] == plan_of(8, i, mix) ? 1 : 0;
    }
    EXPECT_LT(same, 100);
  }
}

TEST(ChaosPlan, has_all_deeds) {
  std::set<Deed> deeds;
  for (std::uint64_t i = 0; i < 2000; ++i) deeds.insert(plan_of(first_seed(), i, Mix::wild).deed);
  EXPECT_EQ(deeds.size(), 6U);
}

TEST(Chaos, of_kills_costs_a_map_no_result) {
  const std::uint64_t hundred_in_a_whole_run = all_tasks() / 200 / slowness();
  const auto map = [](Storm& storm) {
    const auto answers = pool().map(rankpool::bind(carry_out, storm.run()), storm.indices(), storm.options());
    ASSERT_EQ(answers.size(), storm.tasks());
    for (std::uint64_t i = 0; i < answers.size(); ++i) {
      EXPECT_EQ(answers[i].index, i);
      storm.deliver(answers[i]);
    }
  };
  for_each_seed(Mix::calm, 1, map, hundred_in_a_whole_run);
}

TEST(Chaos, of_kills_costs_a_map_of_quick_tasks_no_result) {
  for_each_seed(Mix::quick, 1, [](Storm& storm) {
    for (const Answer& answer : pool().map(rankpool::bind(carry_out, storm.run()), storm.indices(), storm.options())) {
      storm.deliver(answer);
    }
  });
}

/// Waits until every executor has run a task.
bool all_executors_work() {
  const auto who = [](int) {
    std::this_thread::sleep_for(2ms);
    return static_cast<int>(getpid());
  };
  return eventually([&] {
    const Pids pids = pool().map(who, numbers(4 * pool().processes()), {.chunksize = 1});
    return std::set(pids.begin(), pids.end()).size() == static_cast<std::size_t>(pool().processes());
  });
}

/// Executors die before they come to their work; the others go on meanwhile, and in the end all are back.
void expect_newborns_replaced(const Pids& of_zygotes, std::size_t of_each_zygote) {
  ASSERT_TRUE(all_executors_work());
  std::atomic<bool> killing = true;
  std::jthread killer([&] {
    EXPECT_GT(kill_newborns(of_zygotes, of_each_zygote), of_each_zygote);
    killing = false;
  });
  // An idle pool looks after nobody.
  while (killing) EXPECT_EQ(pool().map(sleep_ms, std::vector<int>(50, 1)), std::vector<int>(50, 1));
  EXPECT_TRUE(all_executors_work());
}

TEST(Newborns, that_are_killed_are_replaced) {
  for (int round = 0; round < 5; ++round) expect_newborns_replaced(zygotes(), 4);
}

TEST(Newborns, that_are_killed_again_and_again_are_replaced_where_others_serve) {
  if (std::getenv("RANKPOOL_TEST_NODES") != nullptr) return;  // a node with one executor has no others
  Pids parents = zygotes();
  ASSERT_TRUE(all_executors_work());
  std::erase_if(parents, [](int zygote) { return children_of({zygote}).empty(); });
  expect_newborns_replaced({parents.front()}, 6);
}

TEST(Chaos, of_all_kinds_gives_each_task_of_a_map_its_own_outcome) {
  for_each_seed(Mix::wild, 8, [](Storm& storm) {
    const auto outcomes =
        pool().map_outcomes(rankpool::bind(carry_out_parcel, storm.run()), storm.parcels(), storm.options());
    ASSERT_EQ(outcomes.size(), storm.tasks());
    for (const auto& outcome : outcomes) storm.deliver(outcome);
  });
}

TEST(Chaos, of_all_kinds_leaves_a_stream_whole_and_in_order) {
  for_each_seed(Mix::wild, 16, [](Storm& storm) {
    std::uint64_t next = 0;
    for (const auto& outcome :
         pool().imap(rankpool::bind(carry_out_parcel, storm.run()), storm.parcels(), storm.options()).outcomes()) {
      if (outcome.has_value()) {
        EXPECT_EQ(outcome->answer.index, next);
      }
      storm.deliver(outcome);
      ++next;
    }
    EXPECT_EQ(next, storm.tasks());
  });
}

TEST(Chaos, of_kills_leaves_a_stream_without_order_whole) {
  for_each_seed(Mix::calm, 16, [](Storm& storm) {
    for (const Answer& answer :
         pool().imap_unordered(rankpool::bind(carry_out, storm.run()), storm.indices(), storm.options())) {
      storm.deliver(answer);
    }
  });
}

TEST(Chaos, of_kills_gives_each_future_its_result_and_each_callback_its_call) {
  for_each_seed(Mix::calm, 16, [](Storm& storm) {
    std::atomic<std::uint64_t> calls = 0;
    std::vector<rankpool::Future<Answer>> futures;
    const auto task = rankpool::bind(carry_out, storm.run());
    for (const std::uint64_t i : storm.indices()) {
      futures.push_back(pool().submit(task, i).then([&calls](const Answer&) { ++calls; }));
    }
    for (const auto& future : futures) storm.deliver(future.get());
    EXPECT_EQ(calls, storm.tasks());
  });
}

TEST(Chaos, of_kills_leaves_the_maps_of_two_threads_apart) {
  for_each_seed(Mix::calm, 16, [](Storm& storm) {
    Storm other(storm.run().seed + 1000, storm.tasks(), Mix::calm);
    const auto map = [](Storm& mine) {
      for (const Answer& answer : pool().map(rankpool::bind(carry_out, mine.run()), mine.indices(), mine.options())) {
        mine.deliver(answer);
      }
    };
    std::jthread thread([&] { map(other); });
    map(storm);
    thread.join();
    static_cast<void>(other.finish());
  });
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv, "*", {.max_attempts = max_attempts}); }
