// What an executor leaves behind when it crashes: in a process of its own each time.
#include "host/crash_handler.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/detail/code_address.hpp>
#include <rankpool/detail/task_output.hpp>

#include "executor_life.hpp"

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::detail::flush_output;
using rankpool::host::Channel;
using rankpool::host::CrashDump;
using rankpool::host::enter_executor_surroundings;
using rankpool::host::SavedSignals;

TEST(CrashHandler, dumps_the_stack_and_dies_of_the_same_signal) {
  for (const int signal : crash_signals) {
    const Life life([signal] { raise(signal); }, die_simply);
    EXPECT_TRUE(life.died_of(signal)) << strsignal(signal);
    EXPECT_TRUE(life.stack_left) << strsignal(signal);
  }
}

TEST(CrashHandler, keeps_what_stood_in_the_streams_buffer) {
  const Life life(
      [] {
        std::cerr << "cell 5: ";
        std::abort();
      },
      die_simply);
  EXPECT_TRUE(life.died_of(SIGABRT));
  EXPECT_EQ(life.tail, "cell 5: ");
}

/// From here on descriptor 2 is a pipe that is full, and that nobody reads.
void block_stderr() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_NONBLOCK) != 0) _exit(90);
  while (write(ends[1], "x", 1) > 0) {
  }
  fcntl(ends[1], F_SETFL, 0);
  dup2(ends[1], STDERR_FILENO);
}

/// Waits until the thread sleeps in a call of the system.
void await_sleep_of(pid_t thread) {
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
  for (std::string text; text.find(") S") == std::string::npos;) std::getline(std::ifstream(path), text);
}

TEST(CrashHandler, keeps_what_is_just_being_written_once) {
  const Life life(
      [] {
        block_stderr();
        std::atomic<pid_t> writer = 0;
        std::thread thread([&writer] {
          writer = static_cast<pid_t>(syscall(SYS_gettid));
          std::fputs("before the crash\n", stderr);
        });
        while (writer == 0) std::this_thread::yield();
        await_sleep_of(writer);
        std::abort();
      },
      die_simply);
  EXPECT_TRUE(life.died_of(SIGABRT)) << life.status;
  EXPECT_EQ(life.tail, "before the crash");
}

struct sigaction replaced_handler;
sigjmp_buf way_out;

/// A handler that has ours called first, and then leaves the crash behind.
void jump_out_of_faults() {
  struct sigaction own {};
  own.sa_flags = SA_SIGINFO;
  own.sa_sigaction = [](int signal, siginfo_t* info, void* context) {
    replaced_handler.sa_sigaction(signal, info, context);
    siglongjmp(way_out, 1);
  };
  sigaction(SIGSEGV, &own, &replaced_handler);
  if (sigsetjmp(way_out, 1) == 0) write_nowhere();
}

TEST(CrashHandler, leaves_alone_whoever_jumps_out_of_a_crash) {
  const Life life(
      [] {
        jump_out_of_faults();
        std::this_thread::sleep_for(std::chrono::milliseconds(2500));  // longer than a dump may take
        _exit(7);
      },
      die_simply);
  EXPECT_EQ(life.status, 7 << 8);
}

// Not in line, so that the stack tells which it was.
[[gnu::noinline]] void crash_later() {
  write_nowhere();
  asm volatile("");  // not a tail call
}

TEST(CrashHandler, dumps_the_crash_that_comes_after_one_that_was_jumped_out_of) {
  Life life(
      [] {
        jump_out_of_faults();
        crash_later();
      },
      die_simply);
  EXPECT_TRUE(life.died_of(SIGSEGV)) << life.status;
  EXPECT_TRUE(life.stack_left);
  CrashDump& dump = life.channel.last_words(0).crash;
  dump.name_known_modules();
  const auto stack = dump.stack(SIGSEGV);
  const auto is_crash_later = [](const rankpool::detail::CodeAddress& at) {
    const auto offset = rankpool::detail::address_of(reinterpret_cast<const void*>(crash_later)).offset;
    constexpr std::uint64_t longest_function = 64;
    return at.offset > offset && at.offset < offset + longest_function;
  };
  EXPECT_TRUE(std::ranges::any_of(stack, is_crash_later)) << "the stack is that of the first crash";
}

TEST(CrashHandler, dumps_another_threads_crash_after_one_that_was_jumped_out_of) {
  Life life(
      [] {
        jump_out_of_faults();
        std::thread([] { std::abort(); }).join();
      },
      die_simply);
  EXPECT_TRUE(life.died_of(SIGABRT)) << life.status;
  EXPECT_FALSE(life.channel.last_words(0).crash.stack(SIGABRT).empty());
}

TEST(CrashHandler, leaves_a_handler_of_the_programs_own_in_charge) {
  const auto own = [](int) { _exit(42); };
  const Life before([] { raise(SIGSEGV); }, [own] { std::signal(SIGSEGV, own); });
  EXPECT_EQ(before.status, 42 << 8);
  EXPECT_FALSE(before.stack_left);
  const Life ignored(
      [] {
        raise(SIGFPE);
        _exit(7);
      },
      [] { std::signal(SIGFPE, SIG_IGN); });
  EXPECT_EQ(ignored.status, 7 << 8);
  const Life later([own] {
    std::signal(SIGABRT, own);
    std::abort();
  });
  EXPECT_EQ(later.status, 42 << 8);
}

TEST(CrashHandler, may_be_called_by_the_handler_that_has_replaced_it) {
  static struct sigaction replaced;
  const Life life(
      [] {
        struct sigaction own {};
        own.sa_flags = SA_SIGINFO;
        own.sa_sigaction = [](int signal, siginfo_t* info, void* context) {
          [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, "own\n", 4);
          replaced.sa_sigaction(signal, info, context);
        };
        sigaction(SIGSEGV, &own, &replaced);
        raise(SIGSEGV);
      },
      die_simply);
  EXPECT_TRUE(life.died_of(SIGSEGV));
  EXPECT_EQ(life.writes, (Writes{"own\n"}));
  EXPECT_TRUE(life.stack_left);
}

// The thread sanitizer keeps dispositions to itself.
#ifndef __SANITIZE_THREAD__
TEST(CrashHandler, dies_of_the_true_signal_when_it_crashes_itself) {
  const Life life(
      [] {
        void* nowhere = mmap(nullptr, sizeof(CrashDump) + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        std::signal(SIGABRT, SIG_DFL);
        for (const int signal : {SIGSEGV, SIGBUS}) std::signal(signal, SIG_DFL);
        rankpool::host::dump_crashes_to(*static_cast<CrashDump*>(nowhere));
        std::abort();
      },
      die_simply);
  EXPECT_TRUE(life.died_of(SIGABRT)) << life.status;
}

/// Memory whose first use lasts until somebody looks after it, which nobody does. @returns null where there is none.
void* endless_memory(std::size_t bytes) {
  constexpr int user_mode_only = 1;
  const int file = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | user_mode_only));
  uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
  if (file < 0 || ioctl(file, UFFDIO_API, &api) != 0) return nullptr;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uffdio_register range{};
  range.range = {reinterpret_cast<std::uintptr_t>(memory), bytes};
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  return ioctl(file, UFFDIO_REGISTER, &range) == 0 ? memory : nullptr;
}

TEST(CrashHandler, does_not_let_the_process_hang) {
  constexpr std::size_t page = 4096;
  constexpr std::size_t bytes = (sizeof(CrashDump) / page + 1) * page;
  constexpr int no_such_memory = 77;
  const auto begin = std::chrono::steady_clock::now();
  const Life life(
      [] {
        void* endless = endless_memory(bytes);
        if (endless == nullptr) _exit(no_such_memory);
        for (const int signal : crash_signals) std::signal(signal, SIG_DFL);
        rankpool::host::dump_crashes_to(*static_cast<CrashDump*>(endless));
        write_nowhere();
      },
      die_simply);
  if (life.status == no_such_memory << 8) GTEST_SKIP() << "needs root, or a kernel with userfaultfd for all";
  EXPECT_TRUE(life.died_of(SIGSEGV)) << life.status;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}
#endif

TEST(CrashHandler, names_a_library_that_only_the_executor_has_loaded) {
  Life life(
      [] {
        // In every glibc, linked by nobody.
        void* library = dlopen("libBrokenLocale.so.1", RTLD_NOW);
        void* function = library == nullptr ? nullptr : dlsym(library, "__ctype_get_mb_cur_max");
        if (function == nullptr) _exit(1);
        constexpr std::uintptr_t page = 4096;
        const auto begin = reinterpret_cast<std::uintptr_t>(function) / page * page;
        mprotect(reinterpret_cast<void*>(begin), page, PROT_NONE);  // NOLINT(performance-no-int-to-ptr)
        reinterpret_cast<std::size_t (*)()>(function)();
      },
      die_simply);
  ASSERT_TRUE(life.died_of(SIGSEGV));
  CrashDump& dump = life.channel.last_words(0).crash;
  dump.name_known_modules();
  const auto stack = dump.stack(SIGSEGV);
  ASSERT_GE(stack.size(), 2U);
  EXPECT_STREQ(stack[0].name.data(), "libBrokenLocale.so.1");
  EXPECT_EQ(stack[1].module, rankpool::detail::executable_id());
}

TEST(CrashHandler, tells_nothing_of_a_process_that_a_task_forked) {
  const Life life(
      [] {
        int status = 0;
        if (const pid_t child = fork(); child == 0) {
          raise(SIGSEGV);
        } else {
          waitpid(child, &status, 0);
        }
        _exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? 0 : 1);
      },
      die_simply);
  EXPECT_TRUE(life.ended_well());
  EXPECT_FALSE(life.stack_left);
}

TEST(CrashHandler, ends_a_process_whose_threads_all_crash_at_once) {
  for (int round = 0; round < 10; ++round) {
    const Life life(
        [] {
          std::vector<std::thread> threads;
          for (int i = 0; i < 8; ++i) {
            threads.emplace_back(write_nowhere);
          }
          for (auto& thread : threads) thread.join();
        },
        die_simply);
    EXPECT_TRUE(life.died_of(SIGSEGV)) << life.status;
    EXPECT_TRUE(life.stack_left);
  }
}

}  // namespace
