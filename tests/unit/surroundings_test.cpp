#include "host/surroundings.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <rankpool/detail/task_output.hpp>

namespace {
std::atomic<int> omp_threads{0};  // NOLINT
}

/// Stands for an OpenMP library in the program; found by dlsym.
extern "C" [[gnu::visibility("default"), gnu::used]] void omp_set_num_threads(int threads) { omp_threads = threads; }

namespace {

using rankpool::host::enter_executor_surroundings;
using rankpool::host::ExecutorSettings;
using rankpool::host::SavedSignals;

/// Runs `body` in a forked process. @returns its wait status.
int status_of(const std::function<void()>& body) {
  std::cout.flush();
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(30);
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

/// Whether `check` holds in a process with an executor's surroundings; `prepare` runs before they are made.
bool in_executor(
    const std::function<bool()>& check, const ExecutorSettings& settings = {},
    const std::function<void()>& prepare = [] {}, std::uint32_t slot = 0) {
  const pid_t parent = getpid();
  const int status = status_of([&] {
    prepare();
    enter_executor_surroundings(settings, slot, SavedSignals::current(), parent);
    _exit(check() ? 0 : 1);
  });
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool has_value(const char* variable, const std::string& value) {
  const char* text = std::getenv(variable);
  return text != nullptr && text == value;
}

int oom_score_adj() {
  int value = -10000;
  if (FILE* file = std::fopen("/proc/self/oom_score_adj", "r")) {
    if (std::fscanf(file, "%d", &value) != 1) value = -10000;
    std::fclose(file);
  }
  return value;
}

/// What `body`, forked, writes to stdout and stderr: one entry per write(), as a packet pipe keeps them apart.
std::vector<std::string> writes_of(const std::function<void()>& body) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_DIRECT) != 0) return {"no packet pipe"};
  status_of([&] {
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    enter_executor_surroundings({}, 0, SavedSignals::current(), getppid());
    body();
  });
  close(ends[1]);
  std::vector<std::string> writes;
  std::array<char, 8192> packet{};
  for (ssize_t n = 0; (n = read(ends[0], packet.data(), packet.size())) > 0;) {
    writes.emplace_back(packet.data(), static_cast<std::size_t>(n));
  }
  close(ends[0]);
  return writes;
}

TEST(Surroundings, the_launchers_variables_are_dropped_and_others_kept) {
  EXPECT_TRUE(in_executor(
      [] {
        for (const char* name :
             {"OMPI_COMM_WORLD_RANK", "OMPI_MCA_x", "PMIX_RANK", "PMI_RANK", "SLURM_STEP_NUM_TASKS"}) {
          if (std::getenv(name) != nullptr) return false;
        }
        return has_value("OMPIRE", "stays") && has_value("MY_PMIX_RANK", "stays");
      },
      {},
      [] {
        for (const char* name : {"OMPI_COMM_WORLD_RANK", "OMPI_MCA_x", "PMIX_RANK", "PMI_RANK", "SLURM_STEP_NUM_TASKS"})
          setenv(name, "1", 1);
        setenv("OMPIRE", "stays", 1);
        setenv("MY_PMIX_RANK", "stays", 1);
      }));
}

TEST(Surroundings, inherited_descriptors_are_closed_and_output_kept) {
  EXPECT_TRUE(in_executor(
      [] {
        return fcntl(200, F_GETFD) < 0 && fcntl(3, F_GETFD) < 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0;
      },
      {}, [] { dup2(1, 200); }));
}

TEST(Surroundings, closing_descriptors_spares_those_outside_the_range) {
  const int status = status_of([] {
    for (const int fd : {100, 101, 102, 103}) dup2(1, fd);
    rankpool::host::close_descriptors(101, 102);
    const bool right =
        fcntl(100, F_GETFD) >= 0 && fcntl(101, F_GETFD) < 0 && fcntl(102, F_GETFD) < 0 && fcntl(103, F_GETFD) >= 0;
    _exit(right ? 0 : 1);
  });
  EXPECT_EQ(status, 0);
}

TEST(Surroundings, closed_standard_descriptors_are_opened_and_open_ones_kept) {
  for (const bool closed_input : {false, true}) {
    const int status = status_of([closed_input] {
      struct stat before {};
      struct stat after {};
      const bool next_is_free = fcntl(3, F_GETFD) < 0;
      fstat(STDERR_FILENO, &before);
      if (closed_input) close(STDIN_FILENO);
      close(STDOUT_FILENO);
      rankpool::host::open_standard_descriptors();
      const bool opened = write(STDOUT_FILENO, "lost", 4) == 4 && fcntl(STDIN_FILENO, F_GETFD) == 0;
      fstat(STDERR_FILENO, &after);
      _exit(opened && before.st_ino == after.st_ino && (fcntl(3, F_GETFD) < 0) == next_is_free ? 0 : 1);
    });
    EXPECT_EQ(status, 0);
  }
}

TEST(Surroundings, stdin_is_empty_also_of_what_was_read_ahead) {
  EXPECT_TRUE(in_executor([] { return std::getchar() == EOF; }, {},
                          [] {
                            std::array<int, 2> ends{};
                            if (pipe(ends.data()) != 0 || write(ends[1], "abc", 3) != 3) _exit(2);
                            dup2(ends[0], STDIN_FILENO);
                            if (std::getchar() != 'a') _exit(2);
                          }));
}

TEST(Surroundings, an_executor_leads_its_own_process_group) {
  EXPECT_TRUE(in_executor([] { return getpgrp() == getpid(); }));
}

TEST(Surroundings, cpus_of_the_settings_are_taken) {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  ASSERT_EQ(sched_getaffinity(0, sizeof(mine), &mine), 0);
  if (CPU_COUNT(&mine) < 2) GTEST_SKIP() << "this process may use one CPU only";
  ExecutorSettings settings;
  std::memcpy(settings.cpu_mask.data(), &mine, sizeof(mine));
  EXPECT_TRUE(in_executor(
      [&mine] {
        cpu_set_t now;
        return sched_getaffinity(0, sizeof(now), &now) == 0 && CPU_EQUAL(&now, &mine);
      },
      settings,
      [&mine] {
        int first = 0;
        while (!CPU_ISSET(first, &mine)) ++first;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(first, &one);
        if (sched_setaffinity(0, sizeof(one), &one) != 0) _exit(2);
      }));
}

TEST(Surroundings, a_slot_takes_the_cpus_that_it_is_bound_to_and_others_the_nodes) {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  ASSERT_EQ(sched_getaffinity(0, sizeof(mine), &mine), 0);
  std::size_t last = CPU_SETSIZE - 1;
  while (!CPU_ISSET(last, &mine)) --last;
  ExecutorSettings settings;
  std::memcpy(settings.cpu_mask.data(), &mine, sizeof(mine));
  settings.cpu_owners[last] = 3;
  const auto cpus = [](const std::function<bool(const cpu_set_t&)>& is_right) {
    cpu_set_t now;
    return sched_getaffinity(0, sizeof(now), &now) == 0 && is_right(now);
  };
  const auto only_last = [&](const cpu_set_t& now) { return CPU_COUNT(&now) == 1 && CPU_ISSET(last, &now); };
  const auto nothing = [] {};
  EXPECT_TRUE(in_executor([&] { return cpus(only_last); }, settings, nothing, 2));
  const auto all = [&](const cpu_set_t& now) { return CPU_EQUAL(&now, &mine) != 0; };
  EXPECT_TRUE(in_executor([&] { return cpus(all); }, settings, nothing, 1));
  EXPECT_TRUE(in_executor([&] { return cpus(all); }, settings, nothing, 3));
}

TEST(Surroundings, an_empty_mask_leaves_the_cpus_alone) {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  ASSERT_EQ(sched_getaffinity(0, sizeof(mine), &mine), 0);
  EXPECT_TRUE(in_executor([&mine] {
    cpu_set_t now;
    return sched_getaffinity(0, sizeof(now), &now) == 0 && CPU_EQUAL(&now, &mine);
  }));
}

TEST(Surroundings, the_kernel_prefers_an_executor_when_memory_is_short) {
  EXPECT_TRUE(in_executor([] { return oom_score_adj() >= 500; }));
  EXPECT_TRUE(in_executor([] { return oom_score_adj() == 700; }, {},
                          [] {
                            if (FILE* file = std::fopen("/proc/self/oom_score_adj", "w")) {
                              std::fputs("700", file);
                              std::fclose(file);
                            }
                          }))
      << "a higher value is kept";
}

TEST(Surroundings, threads_of_libraries_are_limited_by_variable_and_by_call) {
  ExecutorSettings settings;
  settings.threads_per_task = 3;
  EXPECT_TRUE(in_executor(
      [] {
        return omp_threads == 3 && has_value("OMP_NUM_THREADS", "3") && has_value("OPENBLAS_NUM_THREADS", "3") &&
               has_value("MKL_NUM_THREADS", "3");
      },
      settings));
}

constexpr rlim_t megabyte = rlim_t{1} << 20U;

ExecutorSettings with_memory_limit(rlim_t bytes) {
  ExecutorSettings settings;
  settings.memory_limit = bytes;
  return settings;
}

rlimit data_limit() {
  rlimit data{};
  getrlimit(RLIMIT_DATA, &data);
  return data;
}

/// Whether private memory of so many bytes can be had.
bool can_map(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  munmap(memory, bytes);
  return true;
}

TEST(Surroundings, memory_is_limited_on_top_of_what_the_program_has) {
  constexpr std::size_t had = 200 * megabyte;
  const auto have_memory = [] { mmap(nullptr, had, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); };
  EXPECT_TRUE(in_executor([] { return can_map(31 * megabyte) && !can_map(33 * megabyte); },
                          with_memory_limit(32 * megabyte), have_memory));
}

TEST(Surroundings, only_the_soft_limit_of_memory_changes) {
  const rlimit before = data_limit();
  EXPECT_TRUE(in_executor(
      [&before] { return data_limit().rlim_cur < before.rlim_cur && data_limit().rlim_max == before.rlim_max; },
      with_memory_limit(32 * megabyte)));
}

TEST(Surroundings, a_limit_of_memory_that_is_lower_already_stays) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer needs more";
#endif
  EXPECT_TRUE(in_executor([] { return data_limit().rlim_cur == 64 * megabyte; }, with_memory_limit(1000 * megabyte),
                          [] {
                            const rlimit lower{64 * megabyte, data_limit().rlim_max};
                            setrlimit(RLIMIT_DATA, &lower);
                          }));
}

TEST(Surroundings, without_a_memory_limit_there_is_none) {
  const rlimit before = data_limit();
  const auto unchanged = [&before] { return data_limit().rlim_cur == before.rlim_cur; };
  EXPECT_TRUE(in_executor(unchanged));
  EXPECT_TRUE(in_executor(unchanged, with_memory_limit(RLIM_INFINITY)));
}

void handle(int) {}

TEST(Surroundings, the_programs_signal_handlers_and_mask_come_back) {
  const pid_t parent = getpid();
  const int status = status_of([parent] {
    std::signal(SIGUSR1, handle);
    std::signal(SIGUSR2, SIG_IGN);
    const SavedSignals saved = SavedSignals::current();
    std::signal(SIGUSR1, SIG_DFL);
    std::signal(SIGUSR2, SIG_DFL);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    enter_executor_surroundings({}, 0, saved, parent);
    raise(SIGUSR1);
    raise(SIGUSR2);
    _exit(0);
  });
  EXPECT_EQ(status, 0);
}

TEST(Surroundings, a_librarys_signal_handlers_can_be_reset) {
  const pid_t parent = getpid();
  const int status = status_of([parent] {
    std::signal(SIGUSR1, handle);
    enter_executor_surroundings({}, 0, SavedSignals::defaults(), parent);
    raise(SIGUSR1);
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

TEST(Surroundings, an_executor_whose_zygote_is_gone_already_leaves) {
  const int status = status_of([] {
    enter_executor_surroundings({}, 0, SavedSignals::current(), getpid());
    _exit(0);
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
}

TEST(Surroundings, a_line_made_of_pieces_is_one_write) {
  EXPECT_EQ(writes_of([] {
              std::cout << "a" << 1 << "\n"
                        << "b" << 2 << '\n';
              std::printf("%s", "c");
              std::printf("%d\n", 3);
            }),
            (std::vector<std::string>{"a1\n", "b2\n", "c3\n"}));
  EXPECT_EQ(writes_of([] { std::cerr << "x" << 1 << "\n"; }), (std::vector<std::string>{"x1\n"}));
}

TEST(Surroundings, leaving_writes_what_stands_in_buffers_and_gives_the_status) {
  EXPECT_EQ(writes_of([] {
              std::cout << "no newline";
              rankpool::host::leave(0);
            }),
            (std::vector<std::string>{"no newline"}));
  EXPECT_EQ(writes_of([] {
              std::fputs("no newline", stderr);
              rankpool::host::leave(0);
            }),
            (std::vector<std::string>{"no newline"}));
  const int status = status_of([] {
    std::atexit([] { _exit(99); });
    rankpool::host::leave(5);
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 5) << "exit handlers are the rank's";
}

TEST(Surroundings, flushing_empty_buffers_is_cheap) {
  constexpr int rounds = 100000;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < rounds; ++i) rankpool::detail::flush_output();
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  std::printf("flush_output: %.1f ns\n", taken.count() / rounds);
  EXPECT_LT(taken.count() / rounds, 10000.0) << "no system call belongs here";
}

}  // namespace
