// run() and Pool::open(): where a program becomes master and workers.
#include <rankpool/run.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <boost/mpi/communicator.hpp>
#include <boost/mpi/environment.hpp>
#include <boost/mpi/intercommunicator.hpp>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/home_process.hpp>
#include <rankpool/errors.hpp>

#include "host/surroundings.hpp"
#include "launch/end_watch.hpp"
#include "launch/exit_guard.hpp"
#include "launch/launcher.hpp"
#include "launch/lent_pool.hpp"
#include "launch/pool_settings.hpp"
#include "launch/process_zygote.hpp"
#include "launch/start.hpp"
#include "launch/start_watch.hpp"
#include "launch/status_note.hpp"
#include "launch/walltime.hpp"
#include "support/stop_signals.hpp"
#include "support/text.hpp"
#include "transport/collectives.hpp"
#include "transport/session.hpp"

extern char** environ;

namespace rankpool {
namespace {

using launch::EndWatch;
using launch::ExitGuard;
using launch::LentPool;
using launch::PoolSettings;
using launch::ProcessZygote;

void print_error(const std::string& what, std::string_view text) {
  // One write, so that the lines of several ranks don't mix.
  std::cerr << "rankpool: " + what + std::string(support::without_prefix(text)) + '\n' << std::flush;
}

/// @returns the status that `work` gives; what leaves it is printed once.
template <class Work>
int status_of(const std::string& what, const Work& work) {
  try {
    return work();
  } catch (const RemoteError& error) {
    ExitGuard::stay_for_exit();
    print_error(what, error.describe());
  } catch (const JobEnding& error) {
    ExitGuard::stay_for_exit();
    print_error("", error.what());
  } catch (const std::exception& error) {
    ExitGuard::stay_for_exit();
    print_error(what, error.what());
  } catch (...) {
    ExitGuard::stay_for_exit();
    print_error(what, "what was thrown is no std::exception");
  }
  return EXIT_FAILURE;
}

/// Calls the program's own part. Whatever leaves it is printed, and the pool terminated.
int call_master(const std::shared_ptr<detail::PoolCore>& core, const std::function<int(Pool&)>& master) {
  // The master's to move or to drop; what is behind it ends here in any case.
  Pool pool(std::make_unique<LentPool>(core));
  const detail::HomeProcess home;
  bool ended = false;
  const int status = status_of("an exception ended the master: ", [&] {
    const int given = master(pool);
    if (!home.is_here()) return given;
    core->close();
    core->join();
    ended = true;
    return given;
  });
  // A child that the master forked comes back out of it too, but the run isn't its to end.
  if (!home.is_here()) host::leave(status);
  if (!ended) core->terminate();
  return status;
}

/// Zygote and executors inherit how signals are dealt with, and must not inherit MPI.
void prepare_zygote() {
  if (launch::is_in_job(launch::look_up)) support::catch_stop_signals();
  ProcessZygote::instance().get(false);
}

/// What the program wants, and what is to be said of how it was started.
PoolSettings settings_of(const PoolOptions& options) {
  PoolSettings settings = launch::merge(options, environ);
  settings.pool = launch::new_pool_number();
  const std::string warning = ProcessZygote::instance().take_warning();
  if (!warning.empty() && !settings.inline_tasks) settings.warnings.push_back(warning);
  return settings;
}

/// For a thread that exits. @returns whether the pool has ended; it can't where it is its own code that exits.
bool end_at_exit(detail::PoolCore& core) {
  if (core.delivers_here()) return false;
  return status_of("the pool could not be terminated: ", [&core] {
           core.terminate();
           return EXIT_SUCCESS;
         }) == EXIT_SUCCESS;
}

/// Calls the program's own part, which may have to end before its work is done.
/// @returns its status, or the one by which a job says that it is to be gone on with.
int call_master_in_time(const std::shared_ptr<master::Engine>& engine, const std::function<int(Pool&)>& master) {
  const int status = call_master(engine, master);
  if (!engine->is_cut_short()) return status;
  launch::note_status(launch::status_of_unfinished);  // now: a launcher may be about to kill this rank
  return launch::status_of_unfinished;
}

EndWatch::Options watch_options(const PoolSettings& settings, const std::vector<transport::RankFacts>& facts,
                                bool owns_process) {
  std::vector<std::string> hosts;
  for (const transport::RankFacts& rank : facts) hosts.push_back(rank.host);
  return {.grace = settings.grace,
          .owns_process = owns_process,
          .log = settings.log,
          .name = settings.name,
          .hosts = std::move(hosts)};
}

int run_alone(const PoolSettings& settings, const std::function<int(Pool&)>& master) {
  if (!settings.error.empty()) throw std::invalid_argument(settings.error);
  launch::StartedPool pool{launch::start_alone(settings, ProcessZygote::instance().get(false)), nullptr, nullptr};
  const auto end_watch = EndWatch::of(pool, watch_options(settings, {}, true));
  std::shared_ptr<master::Engine> core = std::move(pool.engine);
  // Executors that are left die with this process.
  ExitGuard guard([&core](int) { end_at_exit(*core); });
  const int status = status_of("", [&] { return call_master_in_time(core, master); });
  guard.finish([&] {
    if (end_watch) end_watch->forget_pool();
    core.reset();
  });
  return status;
}

/// The job's end for a rank 0 that can't tell the others to leave.
[[noreturn]] void give_up(const transport::MpiSession& mpi, int status) {
  std::cout.flush();
  std::fflush(nullptr);
  mpi.abort(status);
}

/// Nobody leaves while the master may still need it, and no rank's early end is taken for a failure by the launcher:
/// whatever happened before. Where a rank has died, the launcher takes no end for one.
/// @param end_watch null where there is none.
void meet_all(transport::MpiSession& mpi, const boost::mpi::communicator& ranks,
              const std::vector<transport::RankFacts>& facts, const EndWatch* end_watch) {
  const std::vector<support::ProcessWatch> neighbours = launch::watch_neighbours(facts, ranks.rank());
  const auto is_node_lost = [end_watch] { return end_watch != nullptr && end_watch->has_lost_node(); };
  const auto somebody_is_dead = [&] {
    return is_node_lost() ||
           std::ranges::any_of(neighbours, [](const auto& neighbour) { return neighbour.has_ended(); });
  };
  const bool all_have_come = !is_node_lost() && transport::sleeping_barrier(ranks, somebody_is_dead);
  if (is_node_lost()) {
    return mpi.expect_no_answers("a node was lost", launch::end_without_lost_node, std::chrono::seconds(0));
  }
  if (!all_have_come) mpi.expect_no_answers("ranks were killed", launch::note_status);
}

int run_launched(const PoolSettings& settings, const std::function<int(Pool&)>& master) {
  std::optional<launch::StartWatch> watch;
  if (!boost::mpi::environment::initialized()) watch.emplace();
  auto& mpi = transport::MpiSession::start();
  if (mpi.has_lost_ranks() && mpi.world().rank() != 0) return EXIT_FAILURE;  // rank 0 says why
  mpi.require_all_ranks();
  if (!watch) watch.emplace();
  mpi.require_thread_multiple();
  if (const auto error = launch::check_world(launch::promised_ranks(launch::look_up), mpi.world().size())) {
    throw std::runtime_error(*error);
  }
  const boost::mpi::communicator ranks(mpi.world(), boost::mpi::comm_duplicate);
  std::vector<transport::RankFacts> facts;
  std::shared_ptr<master::Engine> core;
  // Until all have met: who waits for others then wants to know whether they live.
  std::unique_ptr<EndWatch> end_watch;
  std::unique_ptr<launch::Lifeline> lifeline;
  std::optional<ExitGuard> guard;
  const int status = status_of("", [&] {
    host::Zygote& zygote = ProcessZygote::instance().get(true);
    facts = launch::gather_facts(ranks, zygote);
    launch::StartedPool pool = launch::start_on(ranks, facts, settings, zygote, {.all_met = [&] { watch.reset(); }});
    lifeline = std::move(pool.lifeline);
    if (pool.engine == nullptr) return EXIT_SUCCESS;
    end_watch = EndWatch::of(pool, watch_options(settings, facts, true));
    core = std::move(pool.engine);
    guard.emplace([&](int exit_status) {
      if (!end_at_exit(*core)) give_up(mpi, exit_status);
      meet_all(mpi, ranks, facts, end_watch.get());
    });
    return call_master_in_time(core, master);
  });
  const auto meet = [&] {
    watch.reset();
    if (end_watch) end_watch->forget_pool();
    core.reset();
    meet_all(mpi, ranks, facts, end_watch.get());
  };
  if (guard) {
    guard->finish(meet);
  } else {
    meet();
  }
  return status;
}

}  // namespace

void prefork() {
  detail::refuse_inside_task("prefork()");
  prepare_zygote();
}

int detail::run(int /*argc*/, char** /*argv*/, const std::function<int(Pool&)>& master, PoolOptions options) {
  refuse_inside_task("run()");
  try {
    const launch::Launcher launcher = launch::detect(launch::look_up);
    if (launcher.launch == launch::Launch::refused) throw std::runtime_error(launcher.error);
    prepare_zygote();
    const support::HeedingStopSignals heeding;
    const PoolSettings settings = settings_of(options);
    return launcher.launch == launch::Launch::launched ? run_launched(settings, master) : run_alone(settings, master);
  } catch (const std::exception& error) {
    print_error("", error.what());
    return EXIT_FAILURE;
  }
}

std::optional<Pool> Pool::open(boost::mpi::communicator communicator, PoolOptions options, int root) {
  detail::refuse_inside_task("Pool::open()");
  host::open_standard_descriptors();
  auto& mpi = transport::MpiSession::start();
  mpi.require_all_ranks();
  if (!mpi.this_thread_may_call()) {
    throw std::logic_error(
        "rankpool: Pool::open() was called in another thread than the one that started MPI; call it there, or start "
        "MPI "
        "with MPI_Init_thread(MPI_THREAD_MULTIPLE)");
  }
  if (!communicator) throw std::invalid_argument("rankpool: Pool::open() needs a communicator, not MPI_COMM_NULL");
  if (communicator.as_intercommunicator()) {
    throw std::invalid_argument("rankpool: Pool::open() needs an intracommunicator; merge the intercommunicator first");
  }
  if (root < 0 || root >= communicator.size()) {
    throw std::invalid_argument("rankpool: Pool::open(): root " + std::to_string(root) + " is not a rank of a " +
                                "communicator of " + std::to_string(communicator.size()) + " ranks");
  }
  const PoolSettings settings = settings_of(options);
  std::optional<master::OnlyThread> only_thread;
  if (!mpi.any_thread_may_call()) {
    only_thread = {std::this_thread::get_id(),
                   "rankpool: MPI was started without MPI_THREAD_MULTIPLE, so only the thread that opened the pool may "
                   "use it; start MPI with MPI_Init_thread(MPI_THREAD_MULTIPLE) to lift that"};
  }
  const boost::mpi::communicator ranks(communicator, boost::mpi::comm_duplicate);
  host::Zygote& zygote = ProcessZygote::instance().get(true);
  const auto facts = launch::gather_facts(ranks, zygote);
  launch::StartedPool pool = launch::start_on(
      ranks, facts, settings, zygote, {.root = root, .launched = communicator.size() > 1, .only_thread = only_thread});
  if (pool.engine == nullptr) return std::nullopt;
  auto end_watch = EndWatch::of(pool, watch_options(settings, facts, false));
  return Pool(std::make_unique<launch::OpenedPool>(std::move(pool.engine), std::move(end_watch)));
}

}  // namespace rankpool
