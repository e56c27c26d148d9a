// The channel of a node, made by the rank that leads it and mapped by the others.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <boost/mpi/communicator.hpp>

#include "host/shared_host.hpp"
#include "launch/layout.hpp"
#include "launch/pool_settings.hpp"
#include "transport/rank_facts.hpp"

namespace rankpool::launch {

/// This rank's end of its node's channel: exactly one of them is there.
struct NodeEnd {
  std::unique_ptr<host::SharedHost> host;  ///< the leader's
  std::unique_ptr<host::Channel> channel;  ///< a member's
};

/// A node's ranks as its channel counts them: the leader first.
std::vector<int> members(const NodePlan& node);

/// What the node's leader makes its host from.
host::SharedHost::Config host_config(const PoolSettings& settings, const Layout& layout, const NodePlan& node,
                                     const std::vector<transport::RankFacts>& facts, std::uint64_t channel_id);

/// Collective: each node's leader makes the node's channel, and the others map it before it may close again.
/// @throws std::runtime_error on every rank where one of them fails, naming that one.
NodeEnd open_channel(const boost::mpi::communicator& communicator, const host::SharedHost::Config& config,
                     const NodePlan& node, host::Zygote& zygote);

}  // namespace rankpool::launch
