#include "launch/process_zygote.hpp"

#include <cstddef>
#include <utility>

#include <rankpool/detail/code_address.hpp>

#include "host/executor.hpp"
#include "host/surroundings.hpp"

namespace rankpool::launch {
namespace {

// MPI has threads of its own, which are no news to anybody.
std::string warning_of_threads(std::ptrdiff_t threads) {
  if (threads <= 1) return {};
  return "this process has " + std::to_string(threads) +
         " threads already; tasks run in forks of it, where a lock that one of them holds is never released. Start "
         "threads, OpenMP and CUDA after run() or prefork(), or in tasks.";
}

}  // namespace

ProcessZygote& ProcessZygote::instance() {
  static ProcessZygote process;
  return process;
}

host::Zygote& ProcessZygote::get(bool mpi_runs) {
  const std::lock_guard lock(mutex_);
  host::open_standard_descriptors();
  if (zygotes_.empty() || !zygotes_.back().alive()) {
    detail::snapshot_modules();
    zygotes_.push_back(host::Zygote::fork_now(
        host::executor_main, mpi_runs ? host::ExecutorSignals::reset : host::ExecutorSignals::inherited));
    warning_ = mpi_runs ? "" : warning_of_threads(zygotes_.back().threads_at_fork());
  }
  return zygotes_.back();
}

std::string ProcessZygote::take_warning() {
  const std::lock_guard lock(mutex_);
  return std::exchange(warning_, {});
}

}  // namespace rankpool::launch
