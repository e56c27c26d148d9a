// A node that can't go on while its leader lives: only the tasks that ran are lost, each with its own end. For three
// nodes with a rank each. A run goes through one case, after which rank 2's node is missing.
#include "pool/pool_test.hpp"

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::WorkerLost;
namespace this_task = rankpool::this_task;

constexpr int tasks = 200;
constexpr int doomed_rank = 2;

enum class Deed {
  kills_the_zygote,  ///< no executor can be forked any more
  is_replaced        ///< by an executor whose initializer doesn't return
};

struct Plan {
  char started[64] = {};  ///< file: each task adds its number when it begins
  char done[64] = {};     ///< file: exists when the deed is done
  Deed deed = Deed::kills_the_zygote;
};

std::string deed_is_done;  ///< name of that file

Plan plan_for(const ScratchFile& started, Deed deed) {
  Plan plan{.deed = deed};
  std::snprintf(plan.started, sizeof plan.started, "%s", started.path().c_str());
  std::snprintf(plan.done, sizeof plan.done, "%s", deed_is_done.c_str());
  return plan;
}

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

/// @returns true to one.
bool makes(const char* path) {
  const int file = open(path, O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) close(file);
  return file >= 0;
}

// The other executors of the rank have a task by then.
int run_task(const Plan& plan, const rankpool::Lock& lock, int i) {
  append_line(plan.started, std::to_string(i));
  std::fprintf(stderr, "task %d\n", i);
  std::this_thread::sleep_for(20ms);
  if (this_task::rank() != doomed_rank || !makes(plan.done)) return i;
  lock.lock();
  kill(plan.deed == Deed::kills_the_zygote ? getppid() : getpid(), SIGKILL);
  std::this_thread::sleep_for(1min);
  return i;
}

void leave_when_replaced(const std::string& done) {
  if (exists(done)) _exit(3);
}

void expect_only_what_ran_is_lost(const Plan& plan, const ScratchFile& started) {
  const int before = pool().processes();
  std::vector<int> inputs;
  for (int i = 0; i < tasks; ++i) inputs.push_back(i);
  const rankpool::Lock lock = pool().lock();  // the one that does the deed holds it
  const auto outcomes =
      pool().map_outcomes([plan, lock](int i) { return run_task(plan, lock, i); }, inputs, {.max_attempts = 1});
  const auto began = started.numbers<std::set<int>>();
  const auto runs = started.numbers<std::vector<int>>();
  EXPECT_EQ(runs.size(), began.size()) << "a task ran twice";
  int lost = 0;
  int last_words = 0;
  for (int i = 0; i < tasks; ++i) {
    try {
      EXPECT_EQ(outcomes[static_cast<std::size_t>(i)].value(), i);
    } catch (const WorkerLost& error) {
      ++lost;
      EXPECT_EQ(error.signal(), SIGKILL) << error.what();
      EXPECT_EQ(error.rank(), doomed_rank);
      EXPECT_GT(error.pid(), 0);
      if (!error.stderr_tail().empty()) {
        ++last_words;
        EXPECT_EQ(error.stderr_tail(), "task " + std::to_string(i));
      }
    }
  }
  EXPECT_GE(last_words, 1);
  // What is charged is what an executor had in hand, and was perhaps about to begin.
  EXPECT_EQ(pool().state(), rankpool::PoolState::running);
  EXPECT_LT(pool().processes(), before);
  EXPECT_LE(lost, before - pool().processes());
  EXPECT_EQ(pool().map(square, inputs).size(), inputs.size());
  EXPECT_TRUE(lock.try_lock_for(5s)) << "a lock is lost with the node";
  EXPECT_TRUE(lock.owner_died());
}

TEST(BrokenNode, whose_zygote_is_killed) {
  const ScratchFile started;
  expect_only_what_ran_is_lost(plan_for(started, Deed::kills_the_zygote), started);
}

TEST(BrokenNode, whose_initializer_does_not_return) {
  const ScratchFile started;
  expect_only_what_ran_is_lost(plan_for(started, Deed::is_replaced), started);
}

}  // namespace

int main(int argc, char** argv) {
  deed_is_done = "/tmp/scratch-of-a-test-" + std::to_string(getpid());
  const int status =
      run_cases(argc, argv, "*", {.initializer = rankpool::bind(leave_when_replaced, deed_is_done), .processes = 6});
  std::remove(deed_is_done.c_str());
  return status;
}
