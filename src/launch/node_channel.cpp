#include "launch/node_channel.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

#include "support/cpu_mask.hpp"
#include "support/cpu_topology.hpp"
#include "support/notice.hpp"
#include "support/text.hpp"
#include "transport/collectives.hpp"

namespace rankpool::launch {
namespace {

using transport::RankFacts;

/// Where the leader's channel is, or why there is none; what leaders tell their members.
struct ChannelPlace {
  std::int32_t pid = 0;
  std::int32_t file = -1;
  std::array<char, 512> problem{};
};

/// Makes the channel of the node this rank leads, and tells all ranks where it is.
std::unique_ptr<host::SharedHost> make_host(const host::SharedHost::Config& config, host::Zygote& zygote,
                                            ChannelPlace& place) {
  try {
    auto host = std::make_unique<host::SharedHost>(config, zygote);
    place.pid = host->channel().leader().pid;
    place.file = host->channel().memory().file();
    return host;
  } catch (const std::exception& error) {
    std::strncpy(place.problem.data(), error.what(), place.problem.size() - 1);
    return nullptr;
  }
}

std::vector<ChannelPlace> exchange_places(const boost::mpi::communicator& communicator, const ChannelPlace& mine) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&mine);
  const auto all = transport::gather_bytes_everywhere(communicator, {bytes, bytes + sizeof mine});
  std::vector<ChannelPlace> places(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::memcpy(&places[i], all[i].data(), std::min(sizeof(ChannelPlace), all[i].size()));
    if (places[i].problem[0] != '\0') {
      const std::string_view problem = support::without_prefix(places[i].problem.data());
      throw std::runtime_error("rankpool: rank " + std::to_string(i) + ": " + std::string(problem));
    }
  }
  return places;
}

/// A rank that doesn't lead its node maps the leader's channel, before the leader may close it again.
std::unique_ptr<host::Channel> attach(const ChannelPlace& leader, host::Zygote& zygote, std::uint64_t channel_id,
                                      ChannelPlace& outcome) {
  try {
    auto channel = std::make_unique<host::Channel>(host::SharedMemory::attach(leader.pid, leader.file));
    zygote.attach(channel_id, channel->memory());
    return channel;
  } catch (const std::exception& error) {
    std::strncpy(outcome.problem.data(), error.what(), outcome.problem.size() - 1);
    return nullptr;
  }
}

void bind_executors(const Layout& layout, const NodePlan& node, const std::vector<RankFacts>& facts,
                    host::ExecutorSettings& settings) {
  const BoundMachine& machine = layout.bound[*node.bound];
  const auto dealt = deal_cpus(facts, machine.crew, support::cpu_places(machine.cpus));
  for (std::size_t i = 0; i < machine.crew.ranks.size(); ++i) {
    const int rank = machine.crew.ranks[i];
    if (!std::ranges::binary_search(node.ranks, rank)) continue;
    std::uint32_t slot = layout.ranks[static_cast<std::size_t>(rank)].first_slot;
    for (const support::CpuMask& cpus : dealt[i]) {
      ++slot;
      support::for_each_cpu(cpus,
                            [&](std::size_t cpu) { settings.cpu_owners[cpu] = static_cast<std::uint16_t>(slot); });
    }
  }
}

}  // namespace

std::vector<int> members(const NodePlan& node) {
  std::vector<int> ranks{node.leader};
  std::ranges::copy_if(node.ranks, std::back_inserter(ranks), [&](int rank) { return rank != node.leader; });
  return ranks;
}

host::SharedHost::Config host_config(const PoolSettings& settings, const Layout& layout, const NodePlan& node,
                                     const std::vector<RankFacts>& facts, std::uint64_t channel_id) {
  host::SharedHost::Config config;
  config.host_name = facts[static_cast<std::size_t>(node.leader)].host;
  config.initializer = settings.initializer;
  config.channel_id = channel_id;
  config.quiet = settings.log == support::LogLevel::quiet;
  host::Channel::Config& channel = config.channel;
  const std::vector<int> ranks = members(node);
  channel.members = static_cast<std::uint32_t>(ranks.size());
  channel.slot_ranks.resize(node.executors);
  channel.slot_members.resize(node.executors);
  channel.reservation = settings.channel_bytes;
  for (std::uint32_t member = 0; member < ranks.size(); ++member) {
    const RankPlan& plan = layout.ranks[static_cast<std::size_t>(ranks[member])];
    for (std::uint32_t i = 0; i < plan.executors; ++i) {
      channel.slot_ranks[plan.first_slot + i] = ranks[member];
      channel.slot_members[plan.first_slot + i] = member;
    }
  }
  host::ExecutorSettings& executors = channel.settings;
  executors.max_tasks_per_child = settings.max_tasks_per_child;
  executors.memory_limit = settings.memory_limit;
  executors.seed = settings.seed;
  executors.pool = settings.pool;
  executors.threads_per_task = static_cast<std::uint32_t>(std::max<std::uint64_t>(settings.threads_per_task, 1));
  executors.cpus = static_cast<std::uint32_t>(node.capacity);
  if (node.cpus.size() <= executors.cpu_mask.size()) {
    std::ranges::copy(node.cpus, executors.cpu_mask.begin());
    if (node.bound) bind_executors(layout, node, facts, executors);
  }
  return config;
}

NodeEnd open_channel(const boost::mpi::communicator& communicator, const host::SharedHost::Config& config,
                     const NodePlan& node, host::Zygote& zygote) {
  NodeEnd end;
  ChannelPlace mine;
  if (node.leader == communicator.rank()) end.host = make_host(config, zygote, mine);
  const std::vector<ChannelPlace> places = exchange_places(communicator, mine);
  if (end.host == nullptr) {
    end.channel = attach(places[static_cast<std::size_t>(node.leader)], zygote, config.channel_id, mine);
  }
  static_cast<void>(exchange_places(communicator, mine));  // throws where a member could not map it
  return end;
}

}  // namespace rankpool::launch
