// What the RANKPOOL_... variables do, and that options of the pool count before them and those of a call before both.
// Each case has a pool of its own, and the variables that run() finds when it makes it.
#include "pool/pool_test.hpp"

#include <chrono>
#include <map>
#include <set>
#include <thread>

#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::MapOptions;
using rankpool::PoolOptions;

/// How often a task is tried that always dies.
std::size_t attempts(const MapOptions& options = {}) {
  const ScratchFile file;
  const auto die = [](const std::string& path, int) {
    append_line(path, "1");
    _exit(3);
  };
  const auto outcomes = pool().map_outcomes(rankpool::bind(die, file.path()), {0}, options);
  EXPECT_TRUE(is_a<rankpool::WorkerLost>(outcomes.at(0).exception()));
  return file.numbers<std::vector<int>>().size();
}

TEST(MaxAttempts, are_the_variables) { EXPECT_EQ(attempts(), 2U); }
TEST(MaxAttempts, of_the_pool_beat_the_variables) { EXPECT_EQ(attempts(), 4U); }
TEST(MaxAttempts, of_the_call_beat_both) { EXPECT_EQ(attempts({.max_attempts = 1}), 1U); }

int most_tasks_of_an_executor() {
  std::map<int, int> tasks;
  for (const int pid : pool().map([](int) { return static_cast<int>(getpid()); }, numbers(60))) ++tasks[pid];
  return std::ranges::max(tasks | std::views::values);
}

TEST(MaxTasksPerChild, is_the_variables) { EXPECT_LE(most_tasks_of_an_executor(), 5); }
TEST(MaxTasksPerChild, of_the_pool_beats_the_variables) { EXPECT_LE(most_tasks_of_an_executor(), 2); }

std::string openmp_threads() {
  return pool().apply([] {
    const char* threads = std::getenv("OMP_NUM_THREADS");
    return std::string(threads == nullptr ? "" : threads);
  });
}

TEST(ThreadsPerTask, are_the_variables) { EXPECT_EQ(openmp_threads(), "2"); }
TEST(ThreadsPerTask, of_the_pool_beat_the_variables) { EXPECT_EQ(openmp_threads(), "3"); }

TEST(Timeout, is_the_variables) {
  EXPECT_THROW((void)pool().map(sleep_ms, std::vector<int>(400, 20), {.chunksize = 1}), rankpool::TimeoutError);
}
TEST(Timeout, of_the_call_beats_the_variables) {
  EXPECT_EQ(pool().map(sleep_ms, {200}, {.timeout = 50s}), std::vector{200});
}

/// How many of the four executors get any of 40 tasks, all of them waiting for some.
std::size_t executors_that_share(const MapOptions& options = {}) {
  const auto place = [](int) {
    sleep_ms(5);
    return std::pair(rankpool::this_task::rank(), rankpool::this_task::slot());
  };
  (void)pool().map(place, numbers(40), {.chunksize = 1});  // by then all of them are there
  const auto places = pool().map(place, numbers(40), options);
  return std::set(places.begin(), places.end()).size();
}

TEST(Chunksize, is_the_variables) { EXPECT_LE(executors_that_share(), 2U); }
TEST(Chunksize, of_the_call_beats_the_variables) { EXPECT_GT(executors_that_share({.chunksize = 1}), 2U); }

TEST(Name, is_the_variables) { EXPECT_EQ(pool().name(), "from the environment"); }
TEST(Name, of_the_pool_beats_the_variables) { EXPECT_EQ(pool().name(), "from the program"); }

int failures = 0;

void run_case(int argc, char** argv, const std::string& name, const char* variable, const char* value,
              PoolOptions options = {}) {
  setenv(variable, value, 1);
  if (run_cases(argc, argv, name, std::move(options)) != 0) {
    std::cerr << "FAILED: " << name << std::endl;
    ++failures;
  }
  unsetenv(variable);
}

}  // namespace

int main(int argc, char** argv) {
  const char* variable = "RANKPOOL_MAX_ATTEMPTS";
  run_case(argc, argv, "MaxAttempts.are_the_variables", variable, "2");
  run_case(argc, argv, "MaxAttempts.of_the_pool_beat_the_variables", variable, "2", {.max_attempts = 4});
  run_case(argc, argv, "MaxAttempts.of_the_call_beat_both", variable, "2", {.max_attempts = 4});
  variable = "RANKPOOL_MAX_TASKS_PER_CHILD";
  run_case(argc, argv, "MaxTasksPerChild.is_the_variables", variable, "5");
  run_case(argc, argv, "MaxTasksPerChild.of_the_pool_beats_the_variables", variable, "5", {.max_tasks_per_child = 2});
  variable = "RANKPOOL_THREADS_PER_TASK";
  run_case(argc, argv, "ThreadsPerTask.are_the_variables", variable, "2");
  run_case(argc, argv, "ThreadsPerTask.of_the_pool_beat_the_variables", variable, "2", {.threads_per_task = 3});
  variable = "RANKPOOL_TIMEOUT";
  run_case(argc, argv, "Timeout.is_the_variables", variable, "0.1");
  run_case(argc, argv, "Timeout.of_the_call_beats_the_variables", variable, "0.1");
  variable = "RANKPOOL_CHUNKSIZE";
  run_case(argc, argv, "Chunksize.is_the_variables", variable, "20", {.processes = 4});
  run_case(argc, argv, "Chunksize.of_the_call_beats_the_variables", variable, "20", {.processes = 4});
  variable = "RANKPOOL_NAME";
  run_case(argc, argv, "Name.is_the_variables", variable, "from the environment");
  run_case(argc, argv, "Name.of_the_pool_beats_the_variables", variable, "from the environment",
           {.name = "from the program"});
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
