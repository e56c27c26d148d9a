#include "launch/process.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <rankpool/detail/code_address.hpp>

#include "host/executor.hpp"
#include "host/surroundings.hpp"

namespace rankpool::launch {
namespace {

std::string zygote_warning;

std::mutex ending;                   // of a run; an exiting thread keeps it for good
ExitGuard* current_guard = nullptr;  // under `ending`
std::atomic<std::thread::id> exiting;

// A child that the master forked inherits the guard, but not the run.
std::atomic<pid_t> guarded_process = 0;

thread_local int runs_here = 0;

// MPI has threads of its own, which are no news to anybody.
std::string warning_of_threads(std::ptrdiff_t threads) {
  if (threads <= 1) return {};
  return "this process has " + std::to_string(threads) +
         " threads already; tasks run in forks of it, where a lock that one of them holds is never released. Start "
         "threads, OpenMP and CUDA after run() or prefork(), or in tasks.";
}

}  // namespace

host::Zygote& zygote(bool mpi_runs) {
  host::open_standard_descriptors();
  static std::optional<host::Zygote> zygote;
  if (zygote && !zygote->alive()) zygote.reset();
  if (!zygote) {
    detail::snapshot_modules();
    zygote = host::Zygote::fork_now(host::executor_main,
                                    mpi_runs ? host::ExecutorSignals::reset : host::ExecutorSignals::inherited);
    zygote_warning = mpi_runs ? "" : warning_of_threads(zygote->threads_at_fork());
  }
  return *zygote;
}

std::string take_zygote_warning() { return std::exchange(zygote_warning, {}); }

ExitGuard::ExitGuard(std::function<void(int status)> end) : end_(std::move(end)) {
  // Registered at each run: handlers run in reverse order, so this one before MPI is finalised, which an earlier run or
  // this one's start may have arranged. Twice: a second thread that exits while the first is in its handler finds one
  // too, and stays there.
  for (int i = 0; i < 2; ++i) on_exit(at_exit, nullptr);
  const std::lock_guard lock(ending);
  guarded_process = getpid();
  outer_ = std::exchange(current_guard, this);
  ++runs_here;
}

ExitGuard::~ExitGuard() {
  --runs_here;
  if (!end_) return;
  const std::lock_guard lock(ending);
  withdraw();
}

void ExitGuard::finish(const std::function<void()>& last) {
  const std::lock_guard lock(ending);
  withdraw();
  last();
}

void ExitGuard::withdraw() {
  current_guard = outer_;
  end_ = nullptr;
}

void ExitGuard::stay_for_exit() {
  const std::thread::id exits = exiting;
  if (runs_here != 0 && exits != std::thread::id() && exits != std::this_thread::get_id()) ending.lock();
}

void ExitGuard::at_exit(int status, void* /*unused*/) {
  if (guarded_process != getpid() || exiting.load() == std::this_thread::get_id()) return;
  std::unique_lock lock(ending);
  if (current_guard == nullptr) return;
  lock.release();
  exiting = std::this_thread::get_id();
  for (ExitGuard* guard = current_guard; guard != nullptr; guard = guard->outer_) guard->end_(status);
}

}  // namespace rankpool::launch
