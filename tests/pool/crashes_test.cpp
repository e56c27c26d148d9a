#include "pool/pool_test.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <map>
#include <ranges>
#include <set>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::WorkerLost;

enum class Death : std::uint8_t {
  exit_0,
  quick_exit_3,
  abort,
  segmentation_fault,
  stack_overflow,
  terminate,
  division,
  kill,
  terminate_signal
};

int dig(int depth);
int (*volatile dig_deeper)(int) = dig;  // unknown to the compiler, which would make a loop of it

int dig(int depth) {
  volatile char hole[4096];
  hole[0] = static_cast<char>(depth);
  return dig_deeper(depth + 1) + hole[0];
}

void fail() { throw std::runtime_error("thrown where nothing may be"); }
void no_throw() noexcept { fail(); }

// What it does is undefined on purpose, which the sanitizers need not say.
[[gnu::noinline, gnu::no_sanitize("undefined")]] void die(Death how) {
  // A core file of each crash would only fill the disk.
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  volatile int zero = 0;
  switch (how) {
    case Death::exit_0:
      std::exit(0);
    case Death::quick_exit_3:
      _exit(3);
    case Death::abort:
      std::abort();
    case Death::segmentation_fault: {
      volatile int* volatile nowhere = nullptr;
      *nowhere = 1;
      break;
    }
    case Death::stack_overflow:
      zero = dig(0);
      break;
    case Death::terminate:
      no_throw();
      break;
    case Death::division:
      zero = 7 / zero;
      break;
    case Death::kill:
      ::kill(getpid(), SIGKILL);
      break;
    case Death::terminate_signal:
      std::signal(SIGTERM, SIG_DFL);  // a shell's background job starts with some signals ignored
      ::kill(getpid(), SIGTERM);
      break;
  }
  std::this_thread::sleep_for(10s);  // a signal takes its time
  throw std::logic_error("still alive");
}

/// Dies at task `bad` only.
int die_at(Death how, int bad, int i) {
  if (i == bad) die(how);
  return square(i);
}

struct Expected {
  Death how;
  const char* text;
  int signal;  ///< 0: an exit
  int exit_code;
};

const std::vector<Expected>& deaths() {
  static const std::vector<Expected> all{
      {Death::exit_0, "exit(0)", 0, 0},
      {Death::quick_exit_3, "exit(3)", 0, 3},
      {Death::abort, "SIGABRT", SIGABRT, 0},
      {Death::segmentation_fault, "SIGSEGV", SIGSEGV, 0},
      {Death::stack_overflow, "SIGSEGV", SIGSEGV, 0},
      {Death::terminate, "SIGABRT", SIGABRT, 0},
      {Death::division, "SIGFPE", SIGFPE, 0},
      {Death::kill, "SIGKILL", SIGKILL, 0},
      {Death::terminate_signal, "SIGTERM", SIGTERM, 0},
  };
  return all;
}

void expect_death(const std::exception_ptr& error, const Expected& expected, std::uint64_t task) {
  ASSERT_NE(error, nullptr) << expected.text;
  EXPECT_TRUE(is_a<rankpool::RemoteError>(error));
  EXPECT_TRUE(is_a<std::runtime_error>(error)) << expected.text;
  EXPECT_TRUE(is_a<rankpool::Error>(error));
  try {
    std::rethrow_exception(error);
  } catch (const WorkerLost& lost) {
    EXPECT_TRUE(contains(lost.what(), expected.text)) << lost.what();
    if (expected.signal != 0) {
      EXPECT_EQ(lost.signal(), expected.signal) << lost.what();
    } else {
      EXPECT_EQ(lost.exit_code(), expected.exit_code) << lost.what();
    }
    EXPECT_EQ(lost.task(), task);
    EXPECT_GT(lost.pid(), 0);
    EXPECT_GE(lost.rank(), 0);
    EXPECT_FALSE(lost.host().empty());
  } catch (...) {
    ADD_FAILURE() << rankpool::detail::text_of(std::current_exception());
  }
}

// --- one task --------------------------------------------------------------------------------------------------------

TEST(Crash, of_the_only_task_is_that_tasks_error) {
  for (const Expected& death : deaths()) {
    const auto outcomes = pool().map_outcomes(rankpool::bind(die_at, death.how, 0), {0}, {.max_attempts = 1});
    expect_death(outcomes.at(0).exception(), death, 0);
    EXPECT_EQ(pool().apply(square, 3), 9);
  }
}

TEST(Crash, leaves_apply_as_the_loss_of_its_worker) {
  EXPECT_THROW(pool().apply(die, Death::abort), WorkerLost);
  EXPECT_EQ(pool().apply(square, 3), 9);
}

TEST(Crash, costs_its_own_task_alone) {
  for (const Expected& death : deaths()) {
    const auto outcomes =
        pool().map_outcomes(rankpool::bind(die_at, death.how, 13), numbers(40), {.chunksize = 10, .max_attempts = 1});
    ASSERT_EQ(outcomes.size(), 40U);
    for (int i = 0; i < 40; ++i) {
      const auto& outcome = outcomes[static_cast<std::size_t>(i)];
      if (i == 13) {
        expect_death(outcome.exception(), death, 13);
      } else {
        ASSERT_TRUE(outcome.has_value()) << death.text << ' ' << i << ": " << outcome.error_text();
        EXPECT_EQ(*outcome, square(i));
      }
    }
  }
}

std::vector<int> row_or_death(int task) {
  if (task % 8 == 5 && rankpool::this_task::attempt() == 1) die(Death::kill);
  return std::vector<int>(static_cast<std::size_t>(100'000 + task), task);
}

// Results that large lie in memory that the executor was lent, and may be on their way when it dies.
TEST(Crash, costs_no_large_result_of_other_tasks) {
  const auto rows = pool().map(row_or_death, std::views::iota(0, 64), {.max_attempts = 3});
  for (int task = 0; task < 64; ++task) {
    const auto& row = rows[static_cast<std::size_t>(task)];
    ASSERT_EQ(row.size(), static_cast<std::size_t>(100'000 + task));
    EXPECT_TRUE(std::ranges::all_of(row, [task](int cell) { return cell == task; })) << "task " << task;
  }
}

TEST(Crash, of_every_task_is_every_tasks_error) {
  const auto outcomes = pool().map_outcomes([](int) { _exit(5); }, numbers(30), {.chunksize = 4, .max_attempts = 1});
  for (std::size_t i = 0; i < 30; ++i) expect_death(outcomes.at(i).exception(), {Death::exit_0, "exit(5)", 0, 5}, i);
  EXPECT_EQ(pool().map(square, numbers(100)), squares(100));
}

TEST(Crash, in_a_thread_of_the_task_is_the_tasks) {
  const auto outcomes = pool().map_outcomes(
      [](int i) {
        if (i == 2) std::jthread([] { std::abort(); }).join();
        return i;
      },
      numbers(5), {.max_attempts = 1});
  expect_death(outcomes.at(2).exception(), {Death::abort, "SIGABRT", SIGABRT, 0}, 2);
  EXPECT_EQ(outcomes.at(3).value(), 3);
}

TEST(Crash, of_a_task_of_a_stream_of_calls_costs_none_of_the_others) {
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([thread] {
      for (int i = 0; i < 10; ++i) {
        if (thread == 0) {
          EXPECT_THROW(pool().apply(die, Death::kill), WorkerLost);
        } else {
          EXPECT_EQ(pool().map(square, numbers(200), {.chunksize = 5}), squares(200));
        }
      }
    });
  }
}

// --- death from outside ----------------------------------------------------------------------------------------------

std::map<int, std::set<int>> executors_by_rank() {
  std::map<int, std::set<int>> pids;
  const auto who = [](int) {
    std::this_thread::sleep_for(5ms);
    return std::pair(rankpool::this_task::rank(), static_cast<int>(getpid()));
  };
  for (const auto& [rank, pid] : pool().map(who, numbers(8 * pool().processes()), {.chunksize = 1})) {
    pids[rank].insert(pid);
  }
  return pids;
}

TEST(Kill, of_an_idle_executor_costs_nothing) {
  for (const auto& [rank, pids] : executors_by_rank()) {
    for (const int pid : pids) ::kill(pid, SIGKILL);
  }
  EXPECT_EQ(pool().map(square, numbers(300), {.chunksize = 1, .max_attempts = 1}), squares(300));
}

TEST(Kill, of_a_busy_executor_is_the_loss_of_its_task_alone) {
  const ScratchFile file;
  const auto task = [](const std::string& path, int i) {
    if (i == 4) {
      append_line(path, std::to_string(getpid()));
      std::this_thread::sleep_for(60s);
    }
    return square(i);
  };
  std::jthread killer([&file] {
    std::vector<int> pids;
    while ((pids = file.numbers<std::vector<int>>()).empty()) std::this_thread::sleep_for(5ms);
    ::kill(pids.front(), SIGKILL);
  });
  const auto outcomes = pool().map_outcomes(rankpool::bind(task, file.path()), numbers(20), {.max_attempts = 1});
  for (int i = 0; i < 20; ++i) {
    const auto& outcome = outcomes.at(static_cast<std::size_t>(i));
    if (i == 4) {
      expect_death(outcome.exception(), {Death::kill, "SIGKILL", SIGKILL, 0}, 4);
    } else {
      EXPECT_EQ(outcome.value(), square(i));
    }
  }
}

// --- attempts --------------------------------------------------------------------------------------------------------

/// Dies in its first attempts and gives the number of the one that went well.
std::uint32_t survive_attempt(std::uint32_t needed, int /*unused*/) {
  if (rankpool::this_task::attempt() < needed) ::kill(getpid(), SIGKILL);
  return rankpool::this_task::attempt();
}

TEST(Attempts, let_a_task_succeed_that_lost_its_executor) {
  EXPECT_EQ(pool().apply(rankpool::bind(survive_attempt, 2U), 0), 2U);
  EXPECT_EQ(pool().map(rankpool::bind(survive_attempt, 3U), {0, 1, 2}), (std::vector<std::uint32_t>{3, 3, 3}));
  EXPECT_EQ(pool().map(rankpool::bind(survive_attempt, 5U), {0}, {.max_attempts = 5}), std::vector<std::uint32_t>{5});
}

TEST(Attempts, are_three_by_default) {
  const ScratchFile file;
  const auto task = [](const std::string& path) {
    append_line(path, std::to_string(rankpool::this_task::attempt()));
    die(Death::quick_exit_3);
  };
  try {
    pool().apply(rankpool::bind(task, file.path()));
    ADD_FAILURE() << "nothing was thrown";
  } catch (const WorkerLost& lost) {
    EXPECT_EQ(lost.attempt(), 3U);
    EXPECT_TRUE(contains(lost.what(), "3")) << lost.what();
  }
  EXPECT_EQ(file.numbers<std::vector<int>>(), (std::vector{1, 2, 3}));
}

TEST(Attempts, of_one_mean_at_most_once) {
  const ScratchFile file;
  const auto task = [](const std::string& path, int i) {
    append_line(path, std::to_string(i));
    if (i == 6) die(Death::abort);
    return i;
  };
  const auto outcomes =
      pool().map_outcomes(rankpool::bind(task, file.path()), numbers(20), {.chunksize = 5, .max_attempts = 1});
  EXPECT_TRUE(is_a<WorkerLost>(outcomes.at(6).exception()));
  auto seen = file.numbers<std::multiset<int>>();
  EXPECT_EQ(seen.size(), 20U);
  EXPECT_EQ(seen.count(6), 1U);
}

TEST(Attempts, charge_only_the_task_that_ran) {
  const auto task = [](int i) {
    if (i % 5 == 0 && rankpool::this_task::attempt() == 1) die(Death::abort);
    return rankpool::this_task::attempt();
  };
  const auto attempts = pool().map(task, numbers(50), {.chunksize = 10});
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(attempts[i], i % 5 == 0 ? 2U : 1U) << i;
}

// --- what a task starts ----------------------------------------------------------------------------------------------

bool is_gone(int pid) {
  if (::kill(pid, 0) != 0) return true;
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  char state = 'Z';
  file >> word >> word >> state;
  return state == 'Z';  // nobody in a container may wait for an orphan
}

TEST(Children, of_a_task_work) {
  const auto task = [](int i) { return WEXITSTATUS(std::system(("exit " + std::to_string(i)).c_str())); };
  EXPECT_EQ(pool().map(task, numbers(10)), numbers(10));
}

TEST(Children, die_with_a_killed_task) {
  const ScratchFile file;
  const auto task = [](const std::string& path) {
    // A child and a grandchild that say who they are.
    const std::string command = "echo $$ >> " + path + "; sh -c 'echo $$ >> " + path + "; sleep 60' & sleep 60";
    return std::system(command.c_str());
  };
  const auto children = [&file] { return file.numbers<std::vector<int>>(); };
  std::jthread killer([&] {
    EXPECT_TRUE(eventually([&] { return children().size() == 2; }));
    // The executor is the first child's parent.
    std::ifstream stat("/proc/" + std::to_string(children().at(0)) + "/stat");
    std::string word;
    int parent = 0;
    stat >> word >> word >> word >> parent;
    ASSERT_GT(parent, 1);
    ::kill(parent, SIGKILL);
  });
  const auto outcomes = pool().map_outcomes(task, {file.path()}, {.max_attempts = 1});
  EXPECT_TRUE(is_a<WorkerLost>(outcomes.at(0).exception())) << outcomes.at(0).error_text();
  killer.join();
  for (const int pid : children()) EXPECT_TRUE(eventually([pid] { return is_gone(pid); })) << pid;
}

TEST(Children, may_be_an_mpirun) {
  const auto run_mpirun = [](int n) {
    const std::string root = geteuid() == 0 ? "--allow-run-as-root " : "";
    const std::string command = "mpirun " + root + "--oversubscribe --bind-to none -n " + std::to_string(n) +
                                " sh -c 'exit 0' > /dev/null 2>&1";
    return std::system(command.c_str());
  };
  if (std::system("command -v mpirun > /dev/null") != 0) GTEST_SKIP() << "skipped: there is no mpirun";
  EXPECT_EQ(pool().map(run_mpirun, {1, 2}), (std::vector{0, 0}));
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv); }
