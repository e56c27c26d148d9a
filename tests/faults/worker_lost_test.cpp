// What is told of a task that was lost: what it wrote last, and where it crashed.
#include "pool/pool_test.hpp"

#undef NDEBUG
#include <cassert>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

// What a backtrace is to name. Undefined on purpose, which the sanitizers need not say.
[[gnu::noinline, gnu::no_sanitize("undefined")]] void overrun_the_grid(volatile int* cell) {
  *cell = 1;
  asm volatile("" ::: "memory");  // no jump out of here
}

[[gnu::noinline, gnu::no_sanitize("undefined")]] int divide_the_grid(int parts) {
  const volatile int hidden = parts;
  const int cells = 64 / hidden;
  asm volatile("" ::: "memory");
  return cells;
}

int dig_a_hole(int depth);
int (*volatile dig_deeper)(int) = dig_a_hole;  // unknown to the compiler, which would make a loop of it

int dig_a_hole(int depth) {
  volatile char hole[4096];
  hole[0] = static_cast<char>(depth);
  return dig_deeper(depth + 1) + hole[0];
}

[[gnu::noinline]] void check_the_grid(int cells) {
  assert(cells == 64 && "the grid is whole");
  asm volatile("" ::: "memory");
}

[[gnu::noinline]] void throw_the_grid_away() { throw std::runtime_error("no room for the grid"); }

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::TaskTimeout;
using rankpool::WorkerLost;

// A core file of each crash would only fill the disk.
void forbid_core_files() {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
}

volatile int* const nowhere = nullptr;

/// The error of task 2 of a chunk of five, which does `deed`. The others write lines of their own.
template <class Deed>
WorkerLost lost(Deed deed) {
  const auto task = [deed](int i) {
    forbid_core_files();
    std::fprintf(stderr, "task %d\n", i);
    if (i == 2) deed();
    return i;
  };
  const auto outcomes = pool().map_outcomes(task, numbers(5), {.chunksize = 5, .max_attempts = 1});
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (i == 2) continue;
    EXPECT_TRUE(outcomes[i].has_value()) << outcomes[i].error_text();
  }
  try {
    static_cast<void>(outcomes.at(2).value());
  } catch (const WorkerLost& error) {
    EXPECT_EQ(error.task(), 2U);
    return error;
  }
  throw std::logic_error("task 2 was not lost");
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

/// The calls name `function`, in the first line or below, and nothing of the pool's.
void expect_backtrace(const WorkerLost& error, const std::string& function) {
  const std::vector<std::string> calls = error.backtrace();
  ASSERT_FALSE(calls.empty()) << error.describe();
  EXPECT_LE(calls.size(), 16U);
  EXPECT_TRUE(contains(calls.front(), function)) << joined(calls);
  const std::string text = joined(calls);
  for (const char* of_the_pool : {"rankpool::host::", "KernelFunctions", "crash_handler", "ZygoteProcess"}) {
    EXPECT_FALSE(contains(text, of_the_pool)) << text;
  }
  EXPECT_TRUE(contains(error.describe(), "\n  backtrace:\n    #0 " + calls.front())) << error.describe();
}

// --- the ways to die -------------------------------------------------------------------------------------------------

TEST(WorkerLost, of_a_bad_access_names_its_function_and_file) {
  const WorkerLost error = lost([] { overrun_the_grid(nowhere); });
  EXPECT_EQ(error.signal(), SIGSEGV);
  EXPECT_EQ(error.stderr_tail(), "task 2");
  expect_backtrace(error, "overrun_the_grid(int volatile*)");
  EXPECT_TRUE(contains(error.backtrace().front(), "worker_lost_test.cpp:")) << error.describe();
  EXPECT_GE(error.backtrace().size(), 2U) << "who has called it";
}

TEST(WorkerLost, of_an_abort_has_the_last_words) {
  const WorkerLost error = lost([] {
    std::fprintf(stderr, "the grid is full\n");
    std::abort();
  });
  EXPECT_EQ(error.signal(), SIGABRT);
  EXPECT_EQ(error.stderr_tail(), "task 2\nthe grid is full");
  EXPECT_TRUE(contains(error.describe(), "\n  last lines on stderr:\n    task 2\n    the grid is full\n"))
      << error.describe();
  expect_backtrace(error, "worker_lost_test.cpp");
}

TEST(WorkerLost, of_a_failed_assertion_has_its_text_once) {
  const WorkerLost error = lost([] { check_the_grid(63); });
  EXPECT_EQ(error.signal(), SIGABRT);
  const std::string& tail = error.stderr_tail();
  EXPECT_TRUE(contains(tail, "the grid is whole")) << tail;
  EXPECT_EQ(tail.find("the grid is whole"), tail.rfind("the grid is whole")) << tail;
  expect_backtrace(error, "check_the_grid(int)");
}

TEST(WorkerLost, of_an_exception_in_a_tasks_thread_has_its_text_and_its_place) {
  const WorkerLost error = lost([] { std::thread(throw_the_grid_away).join(); });
  EXPECT_EQ(error.signal(), SIGABRT);
  EXPECT_TRUE(contains(error.stderr_tail(), "terminate called after throwing an instance of 'std::runtime_error'"))
      << error.stderr_tail();
  EXPECT_TRUE(contains(error.stderr_tail(), "what():  no room for the grid")) << error.stderr_tail();
  expect_backtrace(error, "throw_the_grid_away()");
}

TEST(WorkerLost, of_an_exception_that_leaves_a_noexcept_function_names_who_threw_it) {
  const WorkerLost error = lost([]() noexcept { throw_the_grid_away(); });
  EXPECT_TRUE(contains(error.stderr_tail(), "what():  no room for the grid")) << error.stderr_tail();
  expect_backtrace(error, "throw_the_grid_away()");
}

TEST(WorkerLost, of_a_stack_overflow_names_the_function_without_end) {
  const WorkerLost error = lost([] { dig_a_hole(0); });
  EXPECT_EQ(error.signal(), SIGSEGV);
  EXPECT_EQ(error.stderr_tail(), "task 2");
  expect_backtrace(error, "dig_a_hole(int)");
  EXPECT_EQ(error.backtrace().size(), 16U);
  EXPECT_TRUE(contains(error.backtrace().back(), "at least ")) << error.describe();
  EXPECT_TRUE(contains(error.what(), "its stack may have overflowed")) << error.what();
}

TEST(WorkerLost, of_a_division_by_zero_names_its_function) {
  const WorkerLost error = lost([] { divide_the_grid(0); });
  EXPECT_EQ(error.signal(), SIGFPE);
  expect_backtrace(error, "divide_the_grid(int)");
}

TEST(WorkerLost, of_a_call_through_a_null_pointer_names_the_caller) {
  const WorkerLost error = lost([] {
    void (*volatile none)() = nullptr;
    none();
    asm volatile("" ::: "memory");
  });
  EXPECT_EQ(error.signal(), SIGSEGV);
  const auto calls = error.backtrace();
  ASSERT_GE(calls.size(), 2U) << error.describe();
  EXPECT_EQ(calls[0], "0x0, where no code is");
  EXPECT_TRUE(contains(calls[1], "worker_lost_test.cpp:")) << error.describe();
}

TEST(WorkerLost, of_a_kill_has_the_last_lines_and_no_backtrace) {
  const WorkerLost error = lost([] { kill(getpid(), SIGKILL); });
  EXPECT_EQ(error.signal(), SIGKILL);
  EXPECT_EQ(error.stderr_tail(), "task 2");
  EXPECT_TRUE(error.backtrace().empty());
  EXPECT_FALSE(contains(error.describe(), "backtrace:")) << error.describe();
}

TEST(WorkerLost, of_an_exit_has_the_last_lines_and_no_backtrace) {
  const WorkerLost error = lost([] {
    std::fprintf(stderr, "giving up");
    std::exit(3);
  });
  EXPECT_EQ(error.exit_code(), 3);
  EXPECT_EQ(error.stderr_tail(), "task 2\ngiving up");
  EXPECT_TRUE(error.backtrace().empty());
}

// Sanitizers have a heap of their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(WorkerLost, of_a_damaged_heap_has_the_c_librarys_complaint) {
  const WorkerLost error = lost([] {
    void* block = std::calloc(1, 64);  // what is there decides which of its complaints it has
    char* volatile inside = static_cast<char*>(block) + 16;
    std::free(inside);  // NOLINT(clang-analyzer-unix.Malloc)
  });
  EXPECT_EQ(error.signal(), SIGABRT);
  EXPECT_TRUE(contains(error.stderr_tail(), "free(): invalid pointer")) << error.stderr_tail();
}
#endif

// --- what it says in words -------------------------------------------------------------------------------------------

TEST(WorkerLost, says_on_one_line_what_was_written_last) {
  const WorkerLost error = lost([] {
    std::cerr << "reading row 17\n";
    std::clog << "row 17 is empty: ";  // as a crash finds it
    overrun_the_grid(nowhere);
  });
  EXPECT_EQ(error.stderr_tail(), "task 2\nreading row 17\nrow 17 is empty: ");
  const std::string what = error.what();
  EXPECT_FALSE(contains(what, "\n")) << what;
  EXPECT_TRUE(contains(what, "last on stderr: 'row 17 is empty: '")) << what;
  EXPECT_TRUE(contains(what, "describe()")) << what;
  EXPECT_TRUE(error.describe().starts_with("rankpool::WorkerLost: " + what + "\n")) << error.describe();
}

TEST(WorkerLost, has_the_lines_of_the_task_that_died_alone) {
  const auto task = [](int i) {
    forbid_core_files();
    if (i < 5) std::fprintf(stderr, "task %d\n", i);
    if (i == 6) overrun_the_grid(nowhere);
  };
  const auto outcomes = pool().map_outcomes(task, numbers(7), {.chunksize = 7, .max_attempts = 1});
  try {
    outcomes.at(6).value();
    ADD_FAILURE() << "not lost";
  } catch (const WorkerLost& error) {
    EXPECT_EQ(error.stderr_tail(), "") << "it had written nothing";
    EXPECT_FALSE(contains(error.describe(), "stderr")) << error.describe();
  }
}

TEST(WorkerLost, tells_of_the_last_attempt) {
  const auto task = [](int) {
    forbid_core_files();
    std::fprintf(stderr, "attempt %u\n", rankpool::this_task::attempt());
    overrun_the_grid(nowhere);
  };
  try {
    pool().apply(task, 0);
    ADD_FAILURE() << "not lost";
  } catch (const WorkerLost& error) {
    EXPECT_EQ(error.attempt(), 3U);
    EXPECT_EQ(error.stderr_tail(), "attempt 3");
  }
}

TEST(WorkerLost, has_the_last_whole_lines_of_very_many) {
  const WorkerLost error = lost([] {
    for (int i = 0; i < 2000; ++i) std::cerr << "line " << i << " of the long report\n";
    kill(getpid(), SIGKILL);
  });
  const std::string& tail = error.stderr_tail();
  EXPECT_LE(tail.size(), 2048U);
  EXPECT_GE(tail.size(), 1900U);
  EXPECT_TRUE(tail.starts_with("line 1")) << tail;
  EXPECT_TRUE(tail.ends_with("\nline 1999 of the long report")) << tail;
}

TEST(TaskTimeout, tells_what_the_task_was_doing) {
  const auto task = [](int) {
    std::fprintf(stderr, "waiting for the grid\n");
    std::this_thread::sleep_for(60s);
  };
  try {
    pool().map(task, {0}, {.task_timeout = 300ms});
    ADD_FAILURE() << "nothing was thrown";
  } catch (const TaskTimeout& error) {
    EXPECT_EQ(error.stderr_tail(), "waiting for the grid");
    EXPECT_TRUE(contains(error.what(), "last on stderr: 'waiting for the grid'")) << error.what();
    EXPECT_TRUE(contains(error.describe(), "\n  last lines on stderr:\n    waiting for the grid")) << error.describe();
  }
}

// --- what tasks do to stderr and to signals --------------------------------------------------------------------------

TEST(Stderr, may_be_closed_by_a_task) {
  const auto close_it = [](int i) {
    std::fclose(stderr);
    std::cerr << "lost\n";
    return i;
  };
  EXPECT_EQ(pool().map(close_it, numbers(8), {.chunksize = 2}), numbers(8));
  EXPECT_EQ(pool().map(square, numbers(8)), squares(8));
}

TEST(Stderr, may_be_opened_anew_by_a_task) {
  const ScratchFile file;
  const auto reopen = [](const std::string& path, int i) {
    if (std::freopen(path.c_str(), "a", stderr) == nullptr) throw std::runtime_error("freopen");
    std::fprintf(stderr, "%d\n", i);
    return i;
  };
  EXPECT_EQ(pool().map(rankpool::bind(reopen, file.path()), numbers(8), {.chunksize = 2}), numbers(8));
  EXPECT_EQ(pool().map(square, numbers(8)), squares(8));
  EXPECT_EQ(file.numbers<std::vector<int>>().size(), 8U);
}

TEST(CrashHandler, gives_way_to_a_handler_that_a_task_sets) {
  const WorkerLost error = lost([] {
    std::signal(SIGSEGV, [](int) { _exit(43); });
    overrun_the_grid(nowhere);
  });
  EXPECT_EQ(error.exit_code(), 43);
  EXPECT_TRUE(error.backtrace().empty());
}

TEST(CrashHandler, is_reached_from_a_handler_that_a_task_sets_before_it) {
  const WorkerLost error = lost([] {
    static struct sigaction before;
    struct sigaction own {};
    own.sa_flags = SA_SIGINFO | SA_ONSTACK;
    own.sa_sigaction = [](int signal, siginfo_t* info, void* context) { before.sa_sigaction(signal, info, context); };
    sigaction(SIGSEGV, &own, &before);
    overrun_the_grid(nowhere);
  });
  EXPECT_EQ(error.signal(), SIGSEGV);
  expect_backtrace(error, "overrun_the_grid(int volatile*)");
}

// --- a handler of the program's, set before run() --------------------------------------------------------------------

TEST(OwnHandler, stays_in_charge) {
  const WorkerLost error = lost([] { overrun_the_grid(nowhere); });
  EXPECT_EQ(error.exit_code(), 42) << error.what();
  EXPECT_TRUE(error.backtrace().empty());
  EXPECT_EQ(error.stderr_tail(), "task 2");
  EXPECT_EQ(lost([] { std::abort(); }).signal(), SIGABRT) << "another signal";
}

}  // namespace

int main(int argc, char** argv) {
  const bool own_handler = argc > 1 && std::string(argv[1]) == "own_handler";
  if (own_handler) std::signal(SIGSEGV, [](int) { _exit(42); });
  return run_cases(argc, argv, own_handler ? "OwnHandler.*" : "-OwnHandler.*");
}
