// run() and Pool::open(): where a program becomes master and workers.
#include <rankpool/run.hpp>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <boost/mpi/communicator.hpp>
#include <boost/mpi/intercommunicator.hpp>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/errors.hpp>

#include "launch/launcher.hpp"
#include "launch/pool_settings.hpp"
#include "launch/process.hpp"
#include "launch/start.hpp"
#include "transport/collectives.hpp"
#include "transport/session.hpp"

extern char** environ;

namespace rankpool {
namespace {

using launch::ExitGuard;
using launch::PoolSettings;

void print_error(const std::string& text) { std::cerr << "rankpool: " << text << std::endl; }

/// Calls the program's own part. Whatever leaves it is printed once, and the pool terminated.
int call_master(Pool& pool, const std::function<int(Pool&)>& master) {
  try {
    const int status = master(pool);
    pool.close();
    pool.join();
    return status;
  } catch (const std::exception& error) {
    print_error(std::string("an exception ended the master: ") + error.what());
  } catch (...) {
    print_error("an exception of a type without a text ended the master");
  }
  pool.terminate();
  return EXIT_FAILURE;
}

int run_master(std::unique_ptr<detail::PoolCore> core, const std::function<int(Pool&)>& master,
               const std::function<void()>& after_termination) {
  detail::PoolCore& engine = *core;
  Pool pool(std::move(core));
  const ExitGuard guard([&engine, &after_termination] {
    engine.terminate();
    after_termination();
  });
  return call_master(pool, master);
}

int run_alone(const PoolSettings& settings, const std::function<int(Pool&)>& master) {
  if (!settings.error.empty()) throw std::invalid_argument(settings.error);
  return run_master(launch::start_alone(settings, launch::zygote(false)), master, [] {});
}

int run_launched(const PoolSettings& settings, const std::function<int(Pool&)>& master) {
  auto& mpi = transport::MpiSession::start();
  mpi.require_thread_multiple();
  if (const auto error = launch::check_world(launch::promised_ranks(launch::look_up), mpi.world().size())) {
    throw std::runtime_error(*error);
  }
  const boost::mpi::communicator ranks(mpi.world(), boost::mpi::comm_duplicate);
  auto core = launch::start_on(ranks, settings, 0, launch::zygote(true), true, std::nullopt);
  int status = EXIT_SUCCESS;
  const auto meet = [&ranks] { transport::sleeping_barrier(ranks); };
  if (core) status = run_master(std::move(core), master, meet);
  // Nobody leaves while the master may still need it, and no rank's early end is taken for a failure by the launcher.
  meet();
  return status;
}

}  // namespace

void prefork() {
  detail::refuse_inside_task("prefork()");
  launch::zygote(false);
}

int detail::run(int /*argc*/, char** /*argv*/, const std::function<int(Pool&)>& master, PoolOptions options) {
  refuse_inside_task("run()");
  try {
    const launch::Launcher launcher = launch::detect(launch::look_up);
    if (launcher.launch == launch::Launch::refused) throw std::runtime_error(launcher.error);
    // First of all: executors must not inherit MPI.
    launch::zygote(false);
    const PoolSettings settings = launch::merge(options, environ);
    return launcher.launch == launch::Launch::launched ? run_launched(settings, master) : run_alone(settings, master);
  } catch (const std::exception& error) {
    print_error(error.what());
    return EXIT_FAILURE;
  }
}

std::optional<Pool> Pool::open(boost::mpi::communicator communicator, PoolOptions options, int root) {
  detail::refuse_inside_task("Pool::open()");
  auto& mpi = transport::MpiSession::start();
  if (!communicator) throw std::invalid_argument("rankpool: Pool::open() needs a communicator, not MPI_COMM_NULL");
  if (communicator.as_intercommunicator()) {
    throw std::invalid_argument("rankpool: Pool::open() needs an intracommunicator; merge the intercommunicator first");
  }
  if (root < 0 || root >= communicator.size()) {
    throw std::invalid_argument("rankpool: Pool::open(): root " + std::to_string(root) + " is not a rank of a " +
                                "communicator of " + std::to_string(communicator.size()) + " ranks");
  }
  const PoolSettings settings = launch::merge(options, environ);
  std::optional<std::thread::id> only_thread;
  if (!mpi.any_thread_may_call()) only_thread = std::this_thread::get_id();
  const boost::mpi::communicator ranks(communicator, boost::mpi::comm_duplicate);
  auto core = launch::start_on(ranks, settings, root, launch::zygote(true), communicator.size() > 1, only_thread);
  if (!core) return std::nullopt;
  return Pool(std::move(core));
}

}  // namespace rankpool
