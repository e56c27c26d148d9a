#include "launch/start.hpp"

#include <algorithm>
#include <cstring>
#include <iostream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <rankpool/detail/code_address.hpp>
#include <rankpool/errors.hpp>

#include "host/inline_host.hpp"
#include "host/member.hpp"
#include "host/shared_host.hpp"
#include "launch/identity.hpp"
#include "launch/layout.hpp"
#include "master/engine.hpp"
#include "support/text.hpp"
#include "transport/collectives.hpp"
#include "transport/rank_facts.hpp"
#include "transport/transport.hpp"
#include "worker/worker.hpp"

namespace rankpool::launch {
namespace {

using transport::RankFacts;

/// Where the leader's channel is, or why there is none; what leaders tell their members.
struct ChannelPlace {
  std::int32_t pid = 0;
  std::int32_t file = -1;
  std::int32_t zygote = 0;  ///< of any rank
  std::array<char, 512> problem{};
};

std::uint64_t next_channel_id() {
  static std::uint64_t id = 0;
  return ++id;
}

RankFacts my_facts() {
  RankFacts facts = transport::facts_of_this_process();
  facts.executable_id = detail::executable_id();
  return facts;
}

LayoutOptions layout_options(const PoolSettings& settings, int root, bool launched) {
  return {.launched = launched,
          .processes = settings.processes,
          .root = root,
          .test_nodes = settings.test_nodes,
          .threads_per_task = settings.threads_per_task};
}

master::EngineOptions engine_options(const PoolSettings& settings, const std::vector<RankFacts>& facts,
                                     std::optional<master::OnlyThread> only_thread) {
  master::EngineOptions options;
  options.name = settings.name;
  options.chunksize = settings.chunksize;
  options.memory_limit = settings.memory_limit;
  options.quiet = settings.log == LogLevel::quiet;
  options.max_attempts = static_cast<std::uint32_t>(settings.max_attempts);
  options.schedule = settings.schedule;
  options.task_timeout = settings.task_timeout;
  options.timeout = settings.timeout;
  for (const RankFacts& rank : facts) options.hosts.push_back(rank.host);
  options.only_thread = only_thread;
  // A thread of ours must not call MPI where only one may; and inline, tasks run in the master's own threads.
  options.background = !only_thread && !settings.inline_tasks;
  return options;
}

/// A node's ranks as its channel counts them: the leader first.
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
  executors.threads_per_task = static_cast<std::uint32_t>(std::max<std::uint64_t>(settings.threads_per_task, 1));
  executors.cpus = std::max<std::uint32_t>(count_cpus(node.cpus), 1);
  if (node.cpus.size() <= executors.cpu_mask.size()) std::ranges::copy(node.cpus, executors.cpu_mask.begin());
  return config;
}

std::vector<host::NodeRank> other_ranks(const NodePlan& node, const std::vector<RankFacts>& facts,
                                        const std::vector<ChannelPlace>& places) {
  std::vector<host::NodeRank> others;
  for (const int rank : members(node)) {
    if (rank == node.leader) continue;
    const auto i = static_cast<std::size_t>(rank);
    others.push_back({.rank = rank, .pid = facts[i].pid, .zygote = places[i].zygote});
  }
  return others;
}

std::optional<support::ProcessWatch> watch_if_here(const std::vector<RankFacts>& facts, int rank, int self) {
  const RankFacts& other = facts[static_cast<std::size_t>(rank)];
  if (other.machine != facts[static_cast<std::size_t>(self)].machine) return std::nullopt;
  return support::ProcessWatch(other.pid);
}

void print(const PoolSettings& settings, const std::string& text) {
  const bool named = settings.name != PoolSettings().name;
  std::cerr << "rankpool: " + (named ? settings.name + ": " : "") + text + '\n' << std::flush;
}

void print_warnings(const PoolSettings& settings, const std::vector<std::string>& warnings) {
  if (settings.log == LogLevel::quiet) return;
  for (const std::string& warning : warnings) print(settings, warning);
}

void print_layout(const PoolSettings& settings, const Layout& layout, const std::vector<RankFacts>& facts) {
  print_warnings(settings, settings.warnings);
  print_warnings(settings, layout.warnings);
  if (settings.log != LogLevel::info) return;
  using support::in_words;
  std::ostringstream text;
  text << in_words(layout.executors, "executor") << ", " << in_words(layout.ranks.size(), "rank") << ", "
       << in_words(layout.nodes.size(), "node") << ':';
  for (const NodePlan& node : layout.nodes) {
    text << ' ' << facts[static_cast<std::size_t>(node.leader)].host << " (" << node.executors << " on "
         << in_words(count_cpus(node.cpus), "CPU") << ')';
  }
  print(settings, text.str());
}

std::shared_ptr<detail::PoolCore> start_inline(const PoolSettings& settings, const std::vector<RankFacts>& facts,
                                               int rank, std::optional<master::OnlyThread> only_thread) {
  print_warnings(settings, settings.warnings);
  const std::string& host = facts[static_cast<std::size_t>(rank)].host;
  return master::Engine::make(engine_options(settings, facts, only_thread),
                              std::make_unique<host::InlineHost>(rank, host, settings.initializer), 1, nullptr,
                              std::span<const master::RemoteNode>());
}

/// Makes the channel of the node this rank leads, and tells all ranks where it is.
std::unique_ptr<host::SharedHost> make_host(const host::SharedHost::Config& config, host::Zygote& zygote,
                                            ChannelPlace& place) {
  try {
    auto host = std::make_unique<host::SharedHost>(config, zygote);
    place.pid = host->channel().header().leader_pid;
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

}  // namespace

std::shared_ptr<detail::PoolCore> start_alone(const PoolSettings& settings, host::Zygote& zygote) {
  const std::vector<RankFacts> facts{my_facts()};
  if (settings.inline_tasks) return start_inline(settings, facts, 0, std::nullopt);
  const Layout layout = plan_layout(facts, layout_options(settings, 0, false));
  print_layout(settings, layout, facts);
  auto host = std::make_unique<host::SharedHost>(
      host_config(settings, layout, layout.nodes.front(), facts, next_channel_id()), zygote);
  host->start();
  return master::Engine::make(engine_options(settings, facts, std::nullopt), std::move(host),
                              layout.nodes.front().executors, nullptr, std::span<const master::RemoteNode>());
}

std::vector<RankFacts> gather_facts(const boost::mpi::communicator& communicator) {
  return transport::gather_facts(communicator, my_facts());
}

std::vector<support::ProcessWatch> watch_neighbours(const std::vector<RankFacts>& facts, int self) {
  std::vector<support::ProcessWatch> neighbours;
  for (int rank = 0; rank < static_cast<int>(facts.size()); ++rank) {
    if (rank == self) continue;
    if (auto watch = watch_if_here(facts, rank, self)) neighbours.push_back(std::move(*watch));
  }
  return neighbours;
}

std::shared_ptr<detail::PoolCore> start_on(const boost::mpi::communicator& communicator,
                                           const std::vector<RankFacts>& facts, const PoolSettings& mine, int root,
                                           host::Zygote& zygote, bool launched,
                                           std::optional<master::OnlyThread> only_thread) {
  const bool is_root = communicator.rank() == root;
  // Before anything that depends on the executable, such as the initializer's address.
  if (const auto odd = check_same_program(facts)) throw BinaryMismatch(*odd);
  PoolSettings settings = decode_settings(
      transport::broadcast_bytes(communicator, is_root ? encode(mine) : std::vector<std::byte>(), root));
  if (!settings.error.empty()) throw std::invalid_argument(settings.error);
  if (settings.inline_tasks) {
    return is_root ? start_inline(mine, facts, communicator.rank(), only_thread) : nullptr;
  }
  const Layout layout = plan_layout(facts, layout_options(settings, root, launched));
  if (is_root) print_layout(mine, layout, facts);
  const NodePlan& node =
      layout.nodes[static_cast<std::size_t>(layout.ranks[static_cast<std::size_t>(communicator.rank())].node)];
  const std::uint64_t channel_id = next_channel_id();

  ChannelPlace place;
  std::unique_ptr<host::SharedHost> host;
  if (node.leader == communicator.rank()) {
    host = make_host(host_config(settings, layout, node, facts, channel_id), zygote, place);
  }
  const std::vector<ChannelPlace> places = exchange_places(communicator, place);
  std::unique_ptr<host::Channel> channel;
  if (host == nullptr) channel = attach(places[static_cast<std::size_t>(node.leader)], zygote, channel_id, place);
  place.zygote = zygote.pid();
  const std::vector<ChannelPlace> ready = exchange_places(communicator, place);
  // Duplicating a communicator is collective, so every rank of it does, if anybody needs one.
  std::unique_ptr<transport::Transport> transport;
  if (layout.nodes.size() > 1) transport = std::make_unique<transport::Transport>(communicator);
  if (host == nullptr) {
    const std::vector<int> ranks = members(node);
    const auto member = static_cast<std::uint32_t>(std::ranges::find(ranks, communicator.rank()) - ranks.begin());
    host::serve_as_member(*channel, channel_id, member, zygote);
    zygote.detach(channel_id);
    return nullptr;
  }
  host->start(other_ranks(node, facts, ready));
  if (!is_root) {
    const auto master = watch_if_here(facts, root, communicator.rank());
    worker::serve(*host, *transport, root, master ? &*master : nullptr);
    return nullptr;
  }
  std::vector<master::RemoteNode> remote;
  for (const NodePlan& other : layout.nodes) {
    if (other.leader == root) continue;
    const RankFacts& leader = facts[static_cast<std::size_t>(other.leader)];
    const bool is_here = leader.machine == facts[static_cast<std::size_t>(root)].machine;
    remote.push_back({other.leader, other.executors, is_here ? leader.pid : 0});
  }
  return master::Engine::make(engine_options(mine, facts, only_thread), std::move(host), node.executors,
                              std::move(transport), remote);
}

}  // namespace rankpool::launch
