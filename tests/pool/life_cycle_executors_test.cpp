// How many executors a pool has, where they are, how long they live, and its name.
#include "pool/life_cycle.hpp"
#include "pool/pool_test.hpp"

#include <algorithm>
#include <map>
#include <ranges>
#include <set>
#include <utility>
#include <vector>

#include <unistd.h>

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)

std::map<int, int> tasks_per_executor(int tasks, int chunksize) {
  const auto who = [](int i) { return std::pair(static_cast<int>(getpid()), square(i)); };
  std::map<int, int> count;
  const auto results = pool().map(who, numbers(tasks), {.chunksize = chunksize});
  for (int i = 0; i < tasks; ++i) {
    const auto& [pid, result] = results.at(static_cast<std::size_t>(i));
    EXPECT_EQ(result, square(i));
    ++count[pid];
  }
  return count;
}

TEST(MaxTasksPerChild, of_ten_replaces_executors_after_ten_tasks) {
  for (const int chunksize : {0, 1, 7, 25}) {
    const auto count = tasks_per_executor(100, chunksize);
    EXPECT_GE(count.size(), 10U);
    for (const auto& [pid, tasks] : count) EXPECT_LE(tasks, 10);
  }
}

TEST(MaxTasksPerChild, of_one_gives_each_task_an_executor_of_its_own) {
  EXPECT_EQ(tasks_per_executor(40, 1).size(), 40U);
  pool().close();
  pool().join();
}

std::set<std::pair<int, int>> places_of_executors() {
  const auto place = [](int) {
    sleep_ms(20);
    return std::pair(rankpool::this_task::rank(), rankpool::this_task::slot());
  };
  const auto places = pool().map(place, numbers(8 * pool().processes()), {.chunksize = 1});
  return {places.begin(), places.end()};
}

TEST(Processes, are_at_least_one_by_default) {
  EXPECT_GE(pool().processes(), 1);
  EXPECT_EQ(places_of_executors().size(), static_cast<std::size_t>(pool().processes()));
}

TEST(Processes, of_one_run_one_task_at_a_time) {
  EXPECT_EQ(pool().processes(), 1);
  EXPECT_EQ(tasks_per_executor(100, 1).size(), 1U);
}

TEST(Processes, beyond_the_cpus_are_spread_evenly) {
  EXPECT_EQ(pool().processes(), 7);
  std::map<int, int> per_rank;
  const auto places = places_of_executors();
  EXPECT_EQ(places.size(), 7U);
  for (const auto& [rank, slot] : places) ++per_rank[rank];
  const auto [least, most] = std::ranges::minmax(per_rank | std::views::values);
  EXPECT_LE(most - least, 1);
  EXPECT_EQ(pool().map(square, numbers(1000)), squares(1000));
}

TEST(Name, is_the_one_given) { EXPECT_EQ(pool().name(), "sweep"); }

}  // namespace

int rankpool::test::run_executor_cases(int argc, char** argv) {
  int status = run_cases(argc, argv, "Processes.are_at_least_one_by_default");
  status |=
      run_cases(argc, argv, "MaxTasksPerChild.of_ten_replaces_executors_after_ten_tasks", {.max_tasks_per_child = 10});
  status |= run_cases(argc, argv, "MaxTasksPerChild.of_one_gives_each_task_an_executor_of_its_own",
                      {.max_tasks_per_child = 1});
  status |= run_cases(argc, argv, "Processes.of_one_run_one_task_at_a_time", {.processes = 1});
  status |= run_cases(argc, argv, "Processes.beyond_the_cpus_are_spread_evenly", {.processes = 7});
  status |= run_cases(argc, argv, "Name.*", {.name = "sweep"});
  return status;
}
