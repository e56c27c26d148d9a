// terminate() with every executor in a task that can't be asked to end.
#include "pool/pool_test.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include "faults/family.hpp"
#include "faults/ledger.hpp"

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;

constexpr auto promise = 2s;

void ignore_signals() {
  for (int signal = 1; signal < NSIG; ++signal) std::signal(signal, SIG_IGN);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
}

[[noreturn]] void run_for_ever() {
  for (volatile std::uint64_t turns = 0;;) turns = turns + 1;
}

void never_end(const std::string& ledger, std::uint64_t index) {
  ignore_signals();
  ledger_at(ledger).note_start(index);
  run_for_ever();
}

/// With a child that has gone out of the executor's process group.
void never_end_with_child(const std::string& ledger, std::uint64_t index) {
  ignore_signals();
  if (fork() == 0) {
    setpgid(0, 0);
    ledger_at(ledger).note_start(index);
    run_for_ever();
  }
  run_for_ever();
}

/// Every executor has such a task, and as many wait.
class EndlessTasks {
 public:
  explicit EndlessTasks(void (*task)(const std::string&, std::uint64_t) = never_end)
      : ledger_(2 * executors()),
        call_(pool().map_async(rankpool::bind(task, ledger_.path()),
                               std::views::iota(std::uint64_t{0}, 2 * executors()), {.chunksize = 1})) {
    EXPECT_TRUE(eventually([this] { return running() == executors(); }));
  }

  /// Terminates the pool: everything has ended within the time that is promised.
  void expect_prompt_end() {
    const Pids pids = rankpool::test::executors();
    const Pids more = children_of(pids);
    EXPECT_EQ(pids.size(), executors());
    const auto start = std::chrono::steady_clock::now();
    pool().terminate();
    const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
    std::cout << testing::UnitTest::GetInstance()->current_test_info()->name() << ": terminate() took "
              << elapsed.count() << " ms, " << pids.size() << " executors" << std::endl;
    EXPECT_LT(elapsed, promise);
    // Those of other nodes hear of it a little later.
    for (const Pids& all : {pids, more}) {
      EXPECT_TRUE(eventually([&] { return std::ranges::all_of(all, is_dead); }));
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, promise);
    EXPECT_THROW(call_.get(), CancelledError);
    EXPECT_EQ(running(), executors()) << "a task that waited has begun";
  }

 private:
  [[nodiscard]] static std::size_t executors() { return static_cast<std::size_t>(pool().processes()); }
  [[nodiscard]] std::size_t running() {
    std::size_t all = 0;
    for (std::size_t i = 0; i < 2 * executors(); ++i) all += ledger_[i].starts;
    return all;
  }

  Ledger ledger_;
  rankpool::Future<void> call_;
};

TEST(TerminateLast, ends_tasks_that_run_for_ever_and_ignore_signals) { EndlessTasks().expect_prompt_end(); }

TEST(TerminateLast, ends_what_such_tasks_have_started) { EndlessTasks(never_end_with_child).expect_prompt_end(); }

TEST(TerminateLast, ends_stopped_executors) {
  EndlessTasks tasks;
  for (const int pid : executors()) ::kill(pid, SIGSTOP);
  tasks.expect_prompt_end();
}

/// Worker ranks that are stopped, until the end of the scope.
class StoppedWorkers {
 public:
  StoppedWorkers() : pids_(ranks()) {
    std::erase(pids_, getpid());
    for (const int pid : pids_) ::kill(pid, SIGSTOP);
    for (const int pid : pids_) EXPECT_TRUE(eventually([pid] { return state_of(pid) == 'T'; })) << pid;
  }
  StoppedWorkers(const StoppedWorkers&) = delete;
  StoppedWorkers& operator=(const StoppedWorkers&) = delete;
  ~StoppedWorkers() {
    for (const int pid : pids_) EXPECT_EQ(state_of(pid), 'T') << "somebody has let it go on";
    for (const int pid : pids_) ::kill(pid, SIGCONT);
  }

 private:
  Pids pids_;
};

/// Of one node, whose leader is the master; as ./program it has none.
bool has_other_ranks() { return launched() && std::getenv("RANKPOOL_TEST_NODES") == nullptr; }

TEST(TerminateLast, ends_executors_of_stopped_ranks) {
  if (!has_other_ranks()) return;
  EndlessTasks tasks;
  const StoppedWorkers stopped;
  tasks.expect_prompt_end();
}

TEST(TerminateLast, does_not_wait_for_what_stopped_ranks_owe) {
  if (!has_other_ranks()) return;
  const EndlessTasks tasks;
  const Pids parents = zygotes();
  {
    const StoppedWorkers stopped;
    const Pids pids = executors();
    for (const int pid : pids) ::kill(pid, SIGKILL);
    ASSERT_TRUE(eventually([&] { return std::ranges::all_of(pids, is_dead); }));
    const auto start = std::chrono::steady_clock::now();
    pool().terminate();
    EXPECT_LT(std::chrono::steady_clock::now() - start, promise);
  }
  std::this_thread::sleep_for(200ms);  // for what must not come
  EXPECT_TRUE(children_of(parents).empty());
}

TEST(TerminateLast, of_another_thread_ends_a_map_of_such_tasks) {
  EndlessTasks tasks;
  std::jthread mapper([] { EXPECT_THROW((void)pool().map(square, numbers(100)), CancelledError); });
  std::this_thread::sleep_for(50ms);
  tasks.expect_prompt_end();
}

}  // namespace

int main(int argc, char** argv) {
  int status = 0;
  for (const char* last : {"*ignore_signals", "*have_started", "*stopped_executors", "*executors_of_stopped_ranks",
                           "*stopped_ranks_owe", "*another_thread*"}) {
    status |= run_cases(argc, argv, last);
  }
  return status;
}
