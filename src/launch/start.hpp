// A pool is started: the ranks agree on options and layout, channels are made, executors forked. The master gets the
// engine; the others serve until it ends.
//
//   root's options + environment ──broadcast──► facts of all ranks ──► Layout ──► per node: leader's SharedHost
//   root: Engine over its host and a Transport │ other leaders: worker::serve │ members: host::serve_as_member
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <boost/mpi/communicator.hpp>

#include "host/zygote.hpp"
#include "launch/lifeline.hpp"
#include "launch/pool_settings.hpp"
#include "master/engine.hpp"
#include "master/options.hpp"
#include "support/process_watch.hpp"
#include "transport/rank_facts.hpp"

namespace rankpool::launch {

/// Without MPI: a pool of this process's own. Throws what makes it impossible.
std::shared_ptr<master::Engine> start_alone(const PoolSettings& settings, host::Zygote& zygote);

/// Collective: what each rank of the communicator tells all others.
std::vector<transport::RankFacts> gather_facts(const boost::mpi::communicator& communicator,
                                               const host::Zygote& zygote);

/// Watches on the processes of those among `ranks` that run on this machine, without this one.
std::vector<support::ProcessWatch> watch_neighbours(const std::vector<transport::RankFacts>& facts, int self);

struct Start {
  int root = 0;
  bool launched = true;                                ///< as ranks, be it one; they share the CPUs of their node
  std::optional<master::OnlyThread> only_thread = {};  ///< that may use the pool, where not every one may
  std::function<void()> all_met = [] {};               ///< called when nothing is left that all ranks do together
};

struct StartedPool {
  std::shared_ptr<master::Engine> engine;
  std::unique_ptr<LifelineHub> lifelines;  ///< the root's, to be watched; null where all ranks are on one machine
  std::unique_ptr<Lifeline> lifeline;      ///< a leader's on another machine than the root; null otherwise
};

/// Collective. @returns the pool on the root; on the others none, after it has ended. Throws on every rank what makes
/// it impossible, such as BinaryMismatch.
/// @param communicator the pool's own, on which nobody else sends.
/// @param settings the root's count.
StartedPool start_on(const boost::mpi::communicator& communicator, const std::vector<transport::RankFacts>& facts,
                     const PoolSettings& settings, host::Zygote& zygote, const Start& start);

}  // namespace rankpool::launch
