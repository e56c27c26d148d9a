// What an executor keeps of stderr, and what it leaves behind when it crashes: in a process of its own each time.
#include "host/stderr_tail.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <fstream>
#include <functional>
#include <iostream>
#include <streambuf>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/detail/code_address.hpp>
#include <rankpool/detail/task_output.hpp>

#include "host/crash_handler.hpp"
#include "host/surroundings.hpp"
#include "zygote_helpers.hpp"

namespace {

using rankpool::detail::flush_output;
using rankpool::host::Channel;
using rankpool::host::CrashDump;
using rankpool::host::enter_executor_surroundings;
using rankpool::host::SavedSignals;
using Writes = std::vector<std::string>;

constexpr std::array crash_signals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};

/// What an executor that ran `body` wrote to descriptors 1 and 2, one entry per write(), and what it has left.
struct Life {
  explicit Life(
      const std::function<void()>& body, const std::function<void()>& before = [] {}) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_DIRECT) != 0) ADD_FAILURE() << "no packet pipe";
    std::cout.flush();
    std::fflush(nullptr);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      alarm(30);
      before();
      enter_executor_surroundings({}, SavedSignals::current(), parent);
      rankpool::host::keep_stderr(channel, 0);
      rankpool::host::dump_crashes_to(channel.last_words(0).crash);
      body();
      rankpool::host::leave(0);
    }
    close(ends[1]);
    std::array<char, 8192> packet{};
    for (ssize_t n = 0; (n = read(ends[0], packet.data(), packet.size())) > 0;) {
      writes.emplace_back(packet.data(), static_cast<std::size_t>(n));
    }
    close(ends[0]);
    waitpid(pid, &status, 0);
    const auto& left = channel.last_words(0);
    tail = left.errors.written_at(channel.progress(0));
    for (const int signal : crash_signals) stack_left = stack_left || !left.crash.stack(signal).empty();
  }

  [[nodiscard]] bool ended_well() const { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }
  [[nodiscard]] bool died_of(int signal) const { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }

  Channel channel = rankpool::host::test::make_channel(1);
  Writes writes;
  int status = -1;
  std::string tail;
  bool stack_left = false;
};

/// A core file of each crash would only fill the disk, and the sanitizers see crashes first.
void die_simply() {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  for (const int signal : crash_signals) std::signal(signal, SIG_DFL);
}

// Undefined on purpose, which the sanitizers need not say.
[[gnu::no_sanitize("undefined")]] void write_nowhere() {
  volatile int* volatile nowhere = nullptr;
  *nowhere = 1;
}

// --- what is kept ----------------------------------------------------------------------------------------------------

TEST(KeptStderr, is_what_the_c_and_the_cpp_streams_write_each_line_at_once) {
  const Life life([] {
    std::fprintf(stderr, "%s", "a");
    std::fprintf(stderr, "%d\n", 1);
    std::cerr << "b" << 2 << '\n';
    std::clog << "c" << 3 << '\n';
    std::fputs("d\ne\n", stderr);
  });
  EXPECT_EQ(life.writes, (Writes{"a1\n", "b2\n", "c3\n", "d\ne\n"}));
  EXPECT_EQ(life.tail, "a1\nb2\nc3\nd\ne");
}

TEST(KeptStderr, keeps_its_place_among_what_goes_to_stdout) {
  const Life life([] {
    std::printf("1\n");
    std::fprintf(stderr, "2\n");
    std::cout << "3\n";
    std::cerr << "4\n";
    std::printf("5\n");
  });
  EXPECT_EQ(life.writes, (Writes{"1\n", "2\n", "3\n", "4\n", "5\n"}));
  EXPECT_EQ(life.tail, "2\n4");
}

TEST(KeptStderr, is_also_of_cpp_streams_that_were_taken_off_stdio) {
  const Life life([] { std::cerr << "x" << 1 << '\n'; }, [] { std::ios_base::sync_with_stdio(false); });
  EXPECT_EQ(life.writes, (Writes{"x1\n"}));
  EXPECT_EQ(life.tail, "x1");
}

TEST(KeptStderr, leaves_a_buffer_of_the_programs_own_alone) {
  struct Swallowing : std::streambuf {
    int overflow(int c) override { return c; }
  };
  static Swallowing swallowing;
  const Life life([] { std::cerr << "swallowed\n"; }, [] { std::cerr.rdbuf(&swallowing); });
  EXPECT_TRUE(life.writes.empty());
  EXPECT_EQ(life.tail, "");
}

TEST(KeptStderr, includes_what_perror_says) {
  const Life life([] {
    errno = ENOENT;
    std::perror("grid.txt");
  });
  EXPECT_EQ(life.tail, "grid.txt: No such file or directory");
}

TEST(KeptStderr, a_line_without_an_end_leaves_when_the_task_ends) {
  const Life life([] {
    std::cerr << "no newline";
    flush_output();
    std::_Exit(0);
  });
  EXPECT_EQ(life.writes, (Writes{"no newline"}));
  EXPECT_EQ(life.tail, "no newline");
}

TEST(KeptStderr, is_the_same_stream_to_whoever_asks) {
  const Life life([] { _exit(fileno(stderr) == STDERR_FILENO && isatty(fileno(stderr)) == 0 ? 0 : 1); });
  EXPECT_TRUE(life.ended_well());
}

TEST(KeptStderr, follows_a_descriptor_that_a_task_puts_elsewhere) {
  const Life life([] {
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    std::cerr << "into nothing\n";
  });
  EXPECT_TRUE(life.writes.empty());
  EXPECT_EQ(life.tail, "into nothing");
}

TEST(KeptStderr, wide_characters_come_through_by_either_face) {
  const Life cpp([] {
    std::wclog << L"wide " << 1 << L'\n';
    std::wcerr << L"no newline";
  });
  EXPECT_EQ(cpp.writes, (Writes{"wide 1\n", "no newline"}));
  const Life c([] {
    std::fwprintf(stderr, L"wide %d\n", 1);
    std::fputws(L"no newline", stderr);
  });
  EXPECT_EQ(c.writes, (Writes{"wide 1\n", "no newline"}));
}

TEST(KeptStderr, is_none_of_a_forked_process) {
  const Life life([] {
    std::cerr << "parent\n";
    if (const pid_t child = fork(); child == 0) {
      std::cerr << "child\n";
      _exit(0);
    } else {
      waitpid(child, nullptr, 0);
    }
  });
  EXPECT_EQ(life.writes, (Writes{"parent\n", "child\n"}));
  EXPECT_EQ(life.tail, "parent");
}

// --- a stream that a task closes, or opens anew ----------------------------------------------------------------------

TEST(KeptStderr, may_be_closed) {
  const Life life([] {
    std::fputs("before", stderr);
    const bool closed = std::fclose(stderr) == 0 && fcntl(STDERR_FILENO, F_GETFD) < 0;
    std::fputs("lost", stderr);
    std::cerr << "lost" << std::flush;
    std::clog << "lost" << std::flush;
    flush_output();
    _exit(closed ? 0 : 1);
  });
  EXPECT_TRUE(life.ended_well());
  EXPECT_EQ(life.writes, (Writes{"before"}));
}

TEST(KeptStderr, may_be_opened_anew_as_a_file) {
  const Life life([] {
    char name[] = "/tmp/stderr-of-a-test-XXXXXX";
    close(mkstemp(name));
    bool right = std::freopen(name, "w", stderr) == stderr && fileno(stderr) == STDERR_FILENO;
    std::fputs("one ", stderr);
    std::cerr << "two";
    flush_output();
    std::array<char, 32> text{};
    if (FILE* file = std::fopen(name, "r")) {
      right = right && std::fgets(text.data(), text.size(), file) != nullptr && std::string(text.data()) == "one two";
      std::fclose(file);
    }
    std::remove(name);
    _exit(right ? 0 : 1);
  });
  EXPECT_TRUE(life.ended_well());
  EXPECT_TRUE(life.writes.empty());
}

TEST(KeptStderr, may_be_opened_anew_for_wide_characters) {
  const Life life([] {
    const bool right = std::freopen("/dev/stdout", "w", stderr) == stderr && std::fwide(stderr, 1) > 0;
    std::fputws(L"wide\n", stderr);
    flush_output();
    _exit(right ? 0 : 1);
  });
  EXPECT_TRUE(life.ended_well());
  EXPECT_EQ(life.writes, (Writes{"wide\n"}));
}

TEST(KeptStderr, may_be_opened_anew_and_closed_by_task_after_task) {
  const Life life([] {
    for (int task = 0; task < 5; ++task) {
      if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(2);
      std::fputs("lost", stderr);
      std::fclose(stderr);
      // Somebody else's memory from here on.
      std::vector<std::string> others(64, std::string(460, '\xff'));
      flush_output();
      if (stderr->_fileno == STDERR_FILENO && others.empty()) _exit(3);
    }
  });
  EXPECT_TRUE(life.ended_well());
}

TEST(KeptStderr, may_be_given_another_buffer) {
  const Life life([] {
    std::setvbuf(stderr, nullptr, _IONBF, 0);
    std::fputs("a", stderr);
    std::fputs("b\n", stderr);
    static std::array<char, 64> mine;
    std::setvbuf(stderr, mine.data(), _IOFBF, mine.size());
    std::fputs("c\n", stderr);
    std::fputs("d\n", stderr);
    flush_output();
  });
  EXPECT_EQ(life.writes.at(0), "a");
  EXPECT_EQ(life.tail, "ab\nc\nd");
}

// --- crashes ---------------------------------------------------------------------------------------------------------

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
