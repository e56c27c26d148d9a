// Executors that die as soon as they are forked, for as long as something in their surroundings has it so. Each case
// has a pool of its own.
#include "pool/pool_test.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
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

void kill_all(const Pids& pids) {
  for (const int pid : pids) ::kill(pid, SIGKILL);
}

// However long some had been missing before the last one went.
TEST(Stillborn, executors_have_a_while_to_come_back_when_none_is_left) {
  const auto planned = static_cast<std::size_t>(pool().processes());
  ASSERT_TRUE(eventually([&] { return executors_at_work().size() == planned; }));
  const auto put_off = [&](const std::stop_token& over) {
    const Curse curse;
    ::kill(executors().front(), SIGKILL);
    EXPECT_TRUE(eventually([&] { return executors().size() == planned - 1; }));
    std::this_thread::sleep_for(2s);  // its rounds are seldom by now
    EXPECT_FALSE(over.stop_requested());
    kill_all(executors());
    std::this_thread::sleep_for(150ms);
  };
  std::atomic<bool> cursed = true;
  std::jthread curse([&](const std::stop_token& over) {
    put_off(over);
    cursed = false;
  });
  while (cursed) {
    EXPECT_EQ(pool().map(sleep_ms, std::vector<int>(10, 1), {.max_attempts = 20}), std::vector<int>(10, 1));
  }
  const auto lifted = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually([&] { return executors_at_work().size() == planned; }));
  EXPECT_LT(std::chrono::steady_clock::now() - lifted, 5s);
}

}  // namespace

int main(int argc, char** argv) {
  (void)curse_path();
  pthread_atfork(nullptr, nullptr, be_born);
  int status = 0;
  for (const char* fate : {"*break_a_pool*", "*are_missed*", "*come_back*"}) status |= run_cases(argc, argv, fate);
  return status;
}
