#include "host/surroundings.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio_ext.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <rankpool/detail/task_output.hpp>

#include "support/unique_fd.hpp"

// Present only in programs that gather coverage or profile data. libgcov's archive gives __gcov_dump only to those who
// ask for it by a strong reference, but __gcov_exit to every instrumented program.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
[[gnu::weak]] void __gcov_dump();
[[gnu::weak]] void __gcov_exit();
[[gnu::weak]] int __llvm_profile_write_file();
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}

namespace rankpool::host {
namespace {

// Out of the reach of the terminal's signals and stops; what a task starts stays in the session even if it makes
// process groups of its own, as mpirun does.
void lead_own_session() {
  if (setsid() < 0) setpgid(0, 0);
}

void die_with(int zygote) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != zygote) _exit(EXIT_FAILURE);
}

void read_nothing() {
  __fpurge(stdin);  // what the rank had read ahead
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0) return;
  dup2(null, STDIN_FILENO);
  if (null != STDIN_FILENO) close(null);
}

// Those that its slot is bound to, else the node's.
auto cpus_of(const ExecutorSettings& settings, std::uint32_t slot) {
  auto mask = settings.cpu_mask;
  mask.fill(0);
  bool is_bound = false;
  for (std::size_t cpu = 0; cpu < settings.cpu_owners.size(); ++cpu) {
    if (settings.cpu_owners[cpu] != slot + 1) continue;
    mask[cpu / 64] |= std::uint64_t{1} << (cpu % 64);
    is_bound = true;
  }
  return is_bound ? mask : settings.cpu_mask;
}

void take_cpus(const ExecutorSettings& settings, std::uint32_t slot) {
  const auto mask = cpus_of(settings, slot);
  if (std::ranges::all_of(mask, [](std::uint64_t word) { return word == 0; })) return;
  cpu_set_t cpus;
  static_assert(sizeof(cpus) == sizeof(mask));
  std::memcpy(&cpus, mask.data(), sizeof(cpus));
  sched_setaffinity(0, sizeof(cpus), &cpus);
}

// An executor's death costs a task, a rank's the run.
void be_first_when_memory_is_short() {
  constexpr long wanted = 500;
  const support::UniqueFd file(open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC));
  if (!file) return;
  std::array<char, 16> text{};
  if (read(file.get(), text.data(), text.size() - 1) <= 0) return;
  if (std::strtol(text.data(), nullptr, 10) >= wanted) return;
  const std::string value = std::to_string(wanted);
  [[maybe_unused]] const ssize_t written = pwrite(file.get(), value.data(), value.size(), 0);
}

// With them a program that a task starts would take itself for a rank of this job.
void forget_launcher() {
  std::vector<std::string> names;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view variable(*entry);
    // The user's word, not the launcher's: a task may run mpirun too.
    if (variable.starts_with("OMPI_ALLOW_RUN_AS_ROOT")) continue;
    if (variable.starts_with("SLURM_STEP_NUM_TASKS=") || variable.starts_with("OMPI_") ||
        variable.starts_with("PMIX_") || variable.starts_with("PMI_")) {
      names.emplace_back(variable.substr(0, variable.find('=')));
    }
  }
  for (const auto& name : names) unsetenv(name.c_str());
}

// The variables are for what is loaded or started later; a library that is there has read them already.
void limit_threads(std::uint32_t threads) {
  const std::string text = std::to_string(threads);
  for (const char* variable : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) {
    setenv(variable, text.c_str(), 1);
  }
  const int count = static_cast<int>(std::min<std::uint32_t>(threads, INT_MAX));
  for (const char* name : {"omp_set_num_threads", "openblas_set_num_threads", "MKL_Set_Num_Threads"}) {
    if (void* symbol = dlsym(RTLD_DEFAULT, name)) reinterpret_cast<void (*)(int)>(symbol)(count);
  }
}

// What RLIMIT_DATA counts in this process: private writable memory but the main stack. 0 where /proc can't be read.
rlim_t data_bytes() {
  constexpr std::string_view name = "VmData:";
  constexpr rlim_t kilobyte = 1024;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return kilobyte * std::strtoull(line.c_str() + name.size(), nullptr, 10);
  }
  return 0;
}

// On top of what came with the fork, which is the program's and not the tasks'. Only the soft limit: it is there
// against mistakes, and a program that a task starts may need more.
void limit_memory(std::uint64_t bytes) {
  rlimit data{};
  if (bytes == 0 || getrlimit(RLIMIT_DATA, &data) != 0) return;
  const rlim_t inherited = data_bytes();
  if (bytes > RLIM_INFINITY - inherited) return;
  data.rlim_cur = std::min(data.rlim_cur, inherited + bytes);
  setrlimit(RLIMIT_DATA, &data);
}

bool can_map(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  munmap(memory, bytes);
  return true;
}

// Each line is one write, so that the lines of several executors don't mix. With streams that were taken off stdio,
// std::cerr has a buffer that knows no lines and is better written at once.
void write_whole_lines() {
  constexpr std::size_t longest_line = 65536;
  static std::array<std::array<char, longest_line>, 2> buffers;
  setvbuf(stdout, buffers[0].data(), _IOLBF, longest_line);
  setvbuf(stderr, buffers[1].data(), _IOLBF, longest_line);
  const bool on_stdio = std::ios_base::sync_with_stdio(true);  // tells; it can't be put back on
  if (on_stdio) std::cerr << std::nounitbuf;
}

void close_listed_descriptors(unsigned first, unsigned last) {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return;
  std::vector<int> open_ones;
  while (const dirent* entry = readdir(directory)) {
    char* end = nullptr;
    const long fd = std::strtol(entry->d_name, &end, 10);
    if (*end == '\0' && fd >= first && static_cast<unsigned long>(fd) <= last) {
      open_ones.push_back(static_cast<int>(fd));
    }
  }
  closedir(directory);
  for (const int fd : open_ones) close(fd);
}

}  // namespace

SavedSignals SavedSignals::current() {
  SavedSignals saved;
  for (int signal = 1; signal < NSIG; ++signal) {
    sigaction(signal, nullptr, &saved.actions_.at(static_cast<std::size_t>(signal)));
  }
  pthread_sigmask(SIG_SETMASK, nullptr, &saved.mask_);
  return saved;
}

SavedSignals SavedSignals::defaults() {
  SavedSignals saved;
  for (auto& action : saved.actions_) action.sa_handler = SIG_DFL;
  sigemptyset(&saved.mask_);
  return saved;
}

void SavedSignals::restore() const noexcept {
  for (int signal = 1; signal < NSIG; ++signal) {
    sigaction(signal, &actions_[static_cast<std::size_t>(signal)], nullptr);
  }
  pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
}

void enter_executor_surroundings(const ExecutorSettings& settings, std::uint32_t slot, const SavedSignals& signals,
                                 int zygote) noexcept {
  lead_own_session();
  die_with(zygote);
  read_nothing();
  close_descriptors(STDERR_FILENO + 1, UINT_MAX);
  take_cpus(settings, slot);
  be_first_when_memory_is_short();
  forget_launcher();
  write_whole_lines();
  signals.restore();
  limit_threads(settings.threads_per_task);
  limit_memory(settings.memory_limit);
}

bool memory_is_left(std::uint64_t bytes) noexcept {
  const std::size_t half = bytes / 2;
  if (can_map(half)) return true;
  // Perhaps the heap has kept what tasks gave back. Volatile, or the compiler leaves both calls out.
  void* volatile memory = std::malloc(half);
  const bool found = memory != nullptr;
  std::free(memory);
  return found;
}

void close_descriptors(unsigned first, unsigned last) noexcept {
  if (first > last) return;
#ifdef SYS_close_range
  if (syscall(SYS_close_range, first, last, 0U) == 0) return;
#endif
  close_listed_descriptors(first, last);
}

void open_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest that is free is this one. What tasks start inherits it.
    if (open("/dev/null", O_RDWR) < 0) {  // NOLINT(android-cloexec-open)
      throw std::system_error(errno, std::generic_category(),
                              "rankpool: descriptor " + std::to_string(fd) + " is closed, and can't be /dev/null");
    }
  }
}

void leave(int status) noexcept {
  detail::flush_output();
  if (__gcov_dump != nullptr) {
    __gcov_dump();
  } else if (__gcov_exit != nullptr) {
    __gcov_exit();
  }
  if (__llvm_profile_write_file != nullptr) __llvm_profile_write_file();
  _exit(status);
}

}  // namespace rankpool::host
