// Executors that die as soon as they are forked, for as long as something in their surroundings has it so. Each case
// has a pool of its own.
#include "pool/pool_test.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <unistd.h>

#include "faults/family.hpp"

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::BrokenPool;
using rankpool::WorkerLost;

constexpr int curse_status = 9;

/// While this file is there, executors that are forked end at once. All ranks of a run have the same.
const std::string& curse_path() {
  static const std::string path = "/tmp/scratch-of-a-test-curse-" + std::to_string(launched() ? getppid() : getpid());
  return path;
}

/// Forks since the start of the rank: its zygote is the first generation, executors are the second.
int generation = 0;

void be_born() {
  constexpr int executors = 2;
  if (++generation == executors && access(curse_path().c_str(), F_OK) == 0) _exit(curse_status);
}

class Curse {
 public:
  Curse() { std::ofstream(curse_path()) << "none lives\n"; }
  Curse(const Curse&) = delete;
  Curse& operator=(const Curse&) = delete;
  ~Curse() { std::remove(curse_path().c_str()); }
};

int die(int) { _exit(1); }

TEST(Stillborn, executors_break_a_pool_in_which_no_other_is_left) {
  const auto start = std::chrono::steady_clock::now();
  const Curse curse;
  const std::string text = text_of_thrown<BrokenPool>([] {
    for (;;) (void)pool().map_outcomes(die, {1});
  });
  EXPECT_TRUE(contains(text, "no executor can be started on ")) << text;
  EXPECT_TRUE(contains(text, "die before they can serve")) << text;
  EXPECT_TRUE(contains(text, "exit(9)")) << text;
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

/// @returns those that ran a task.
std::set<int> executors_at_work() {
  const auto who = [](int) { return sleep_ms(2) * 0 + static_cast<int>(getpid()); };
  const std::vector<int> pids = pool().map(who, numbers(10 * pool().processes()), {.chunksize = 1});
  return {pids.begin(), pids.end()};
}

TEST(Stillborn, executors_are_missed_until_the_cause_has_gone) {
  const auto planned = static_cast<std::size_t>(pool().processes());
  ASSERT_GE(planned, 2U);
  ASSERT_TRUE(eventually([&] { return executors_at_work().size() == planned; }));
  {
    const Curse curse;
    EXPECT_THROW((void)pool().map(die, {1}, {.max_attempts = 1}), WorkerLost);
    for (int i = 0; i < 15; ++i) EXPECT_EQ(executors_at_work().size(), planned - 1);
    EXPECT_TRUE(eventually([&] {
      (void)executors_at_work();
      return static_cast<std::size_t>(pool().processes()) == planned - 1;
    }));
  }
  EXPECT_TRUE(eventually([&] { return executors_at_work().size() == planned; }));
  EXPECT_EQ(static_cast<std::size_t>(pool().processes()), planned);
}

}  // namespace

int main(int argc, char** argv) {
  (void)curse_path();
  pthread_atfork(nullptr, nullptr, be_born);
  int status = 0;
  for (const char* fate : {"*break_a_pool*", "*are_missed*"}) status |= run_cases(argc, argv, fate);
  return status;
}
