#include "launch/process.hpp"

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <utility>

#include <rankpool/detail/code_address.hpp>

#include "host/executor.hpp"

namespace rankpool::launch {
namespace {

ExitGuard* current_guard = nullptr;

}  // namespace

host::Zygote& zygote(bool mpi_runs) {
  static std::optional<host::Zygote> zygote;
  if (zygote && !zygote->alive()) zygote.reset();
  if (!zygote) {
    detail::snapshot_modules();
    zygote = host::Zygote::fork_now(host::executor_main,
                                    mpi_runs ? host::ExecutorSignals::reset : host::ExecutorSignals::inherited);
  }
  return *zygote;
}

ExitGuard::ExitGuard(std::function<void()> end) : end_(std::move(end)), pid_(getpid()) {
  // Registered at each run: handlers run in reverse order, so this one before MPI is finalised, which an earlier run or
  // this one's start may have arranged.
  std::atexit(at_exit);
  current_guard = this;
}

ExitGuard::~ExitGuard() { current_guard = nullptr; }

void ExitGuard::at_exit() {
  ExitGuard* guard = std::exchange(current_guard, nullptr);
  if (guard != nullptr && guard->pid_ == getpid()) guard->end_();
}

}  // namespace rankpool::launch
