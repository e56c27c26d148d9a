#include "launch/exit_guard.hpp"

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>

#include <rankpool/detail/home_process.hpp>

namespace rankpool::launch {
namespace {

/// The runs of the process, one inside the master of the other, and the thread that ends them all.
struct Runs {
  std::mutex ending;               ///< an exiting thread keeps it for good
  ExitGuard* innermost = nullptr;  ///< under `ending`
  std::atomic<std::thread::id> exiting;
  /// A child that the master forked inherits the guards, but not the runs.
  std::atomic<detail::HomeProcess> home;
};

// Not destroyed: exit() may need it to the very end.
Runs& runs() {
  static Runs& all = *new Runs;  // NOLINT(cppcoreguidelines-owning-memory)
  return all;
}

thread_local int runs_here = 0;

}  // namespace

ExitGuard::ExitGuard(std::function<void(int status)> end) : end_(std::move(end)) {
  // Registered at each run: handlers run in reverse order, so this one before MPI is finalised, which an earlier run or
  // this one's start may have arranged. Twice: a second thread that exits while the first is in its handler finds one
  // too, and stays there.
  for (int i = 0; i < 2; ++i) on_exit(at_exit, nullptr);
  const std::lock_guard lock(runs().ending);
  runs().home = detail::HomeProcess();
  outer_ = std::exchange(runs().innermost, this);
  ++runs_here;
}

ExitGuard::~ExitGuard() {
  --runs_here;
  if (!end_) return;
  const std::lock_guard lock(runs().ending);
  withdraw();
}

void ExitGuard::finish(const std::function<void()>& last) {
  const std::lock_guard lock(runs().ending);
  withdraw();
  last();
}

void ExitGuard::withdraw() {
  runs().innermost = outer_;
  end_ = nullptr;
}

void ExitGuard::stay_for_exit() {
  const std::thread::id exits = runs().exiting;
  if (runs_here != 0 && exits != std::thread::id() && exits != std::this_thread::get_id()) runs().ending.lock();
}

void ExitGuard::at_exit(int status, void* /*unused*/) {
  if (!runs().home.load().is_here() || runs().exiting.load() == std::this_thread::get_id()) return;
  std::unique_lock lock(runs().ending);
  if (runs().innermost == nullptr) return;
  lock.release();
  runs().exiting = std::this_thread::get_id();
  for (ExitGuard* guard = runs().innermost; guard != nullptr; guard = guard->outer_) guard->end_(status);
}

}  // namespace rankpool::launch
