#include "launch/start.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <rankpool/detail/code_address.hpp>
#include <rankpool/errors.hpp>

#include "host/inline_host.hpp"
#include "host/member.hpp"
#include "launch/end_watch.hpp"
#include "launch/identity.hpp"
#include "launch/layout.hpp"
#include "launch/layout_text.hpp"
#include "launch/lifeline.hpp"
#include "launch/node_channel.hpp"
#include "master/engine.hpp"
#include "support/notice.hpp"
#include "transport/collectives.hpp"
#include "transport/rank_facts.hpp"
#include "transport/session.hpp"
#include "transport/transport.hpp"
#include "worker/worker.hpp"

namespace rankpool::launch {
namespace {

using transport::RankFacts;

std::uint64_t next_channel_id() {
  static std::uint64_t id = 0;
  return ++id;
}

RankFacts my_facts(const host::Zygote& zygote) {
  RankFacts facts = transport::facts_of_this_process();
  facts.zygote = support::ProcessIdentity::of(zygote.pid());
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
                                     const std::optional<master::OnlyThread>& only_thread) {
  master::EngineOptions options;
  options.name = settings.name;
  options.pool = settings.pool;
  options.chunksize = settings.chunksize;
  options.memory_limit = settings.memory_limit;
  options.log = settings.log;
  options.seed = settings.seed;
  options.max_attempts = static_cast<std::uint32_t>(settings.max_attempts);
  options.schedule = settings.schedule;
  options.task_timeout = settings.task_timeout;
  options.timeout = settings.timeout;
  for (const RankFacts& rank : facts) options.hosts.push_back(rank.host);
  options.outlives_ranks = transport::MpiSession::outlives_ranks();
  options.only_thread = only_thread;
  options.foreign_threads = transport::MpiSession::threads();
  // A thread of ours must not call MPI where only one may; and inline, tasks run in the master's own threads.
  options.background = !only_thread && !settings.inline_tasks;
  return options;
}

std::vector<host::NodeRank> other_ranks(const NodePlan& node, const std::vector<RankFacts>& facts) {
  std::vector<host::NodeRank> others;
  for (const int rank : members(node)) {
    if (rank == node.leader) continue;
    const RankFacts& other = facts[static_cast<std::size_t>(rank)];
    others.push_back({.rank = rank, .process = other.process, .zygote = other.zygote});
  }
  return others;
}

std::optional<support::ProcessWatch> watch_if_here(const std::vector<RankFacts>& facts, int rank, int self) {
  const RankFacts& other = facts[static_cast<std::size_t>(rank)];
  if (other.machine != facts[static_cast<std::size_t>(self)].machine) return std::nullopt;
  return support::ProcessWatch(other.process);
}

void print_warnings(const PoolSettings& settings, const std::vector<std::string>& warnings) {
  if (settings.log == LogLevel::quiet) return;
  for (const std::string& warning : warnings) support::print_notice(settings.name, warning);
}

void print_layout(const PoolSettings& settings, const Layout& layout, const std::vector<RankFacts>& facts,
                  std::string_view mpi_library) {
  print_warnings(settings, settings.warnings);
  print_warnings(settings, layout.warnings);
  if (settings.log != LogLevel::info) return;
  support::print_notice(settings.name, describe(layout, facts, mpi_library));
}

std::shared_ptr<master::Engine> start_inline(const PoolSettings& settings, const std::vector<RankFacts>& facts,
                                             int rank, const std::optional<master::OnlyThread>& only_thread) {
  print_warnings(settings, settings.warnings);
  auto options = engine_options(settings, facts, only_thread);
  options.foreign_threads += EndWatch::threads(nullptr);
  const std::string& host = facts[static_cast<std::size_t>(rank)].host;
  return master::Engine::make(std::move(options),
                              std::make_unique<host::InlineHost>(rank, host, settings.initializer, settings.seed), 1,
                              nullptr, std::span<const master::RemoteNode>());
}

/// The root's settings, on all ranks. @throws std::invalid_argument on all, if they are wrong.
PoolSettings settings_of_all(const boost::mpi::communicator& communicator, const PoolSettings& mine, int root) {
  const bool is_root = communicator.rank() == root;
  PoolSettings settings = decode_settings(
      transport::broadcast_bytes(communicator, is_root ? encode(mine) : std::vector<std::byte>(), root));
  if (!settings.error.empty()) throw std::invalid_argument(settings.error);
  return settings;
}

void serve_as_member(host::Channel& channel, std::uint64_t channel_id, int rank, const NodePlan& node,
                     host::Zygote& zygote) {
  const std::vector<int> ranks = members(node);
  const auto member = static_cast<std::uint32_t>(std::ranges::find(ranks, rank) - ranks.begin());
  host::serve_as_member(channel, channel_id, member, zygote);
  zygote.detach(channel_id);
}

/// The hub is the root's, the address is for leaders on other machines.
struct Lifelines {
  std::unique_ptr<LifelineHub> hub;
  std::optional<LifelineAddress> address;
};

std::unique_ptr<LifelineHub> make_hub() {
  try {
    return std::make_unique<LifelineHub>();
  } catch (const std::system_error&) {
    return nullptr;  // lost nodes are then the launcher's alone to notice
  }
}

Lifelines make_lifelines(const boost::mpi::communicator& communicator, const std::vector<RankFacts>& facts, int root) {
  const auto machine_of = [&facts](int rank) { return facts[static_cast<std::size_t>(rank)].machine; };
  const auto is_elsewhere = [&](const RankFacts& rank) { return rank.machine != machine_of(root); };
  if (std::ranges::none_of(facts, is_elsewhere)) return {};
  Lifelines made;
  LifelineAddress none;
  if (communicator.rank() == root) made.hub = make_hub();
  const auto address = transport::broadcast_bytes(communicator, (made.hub ? made.hub->address() : none).encode(), root);
  if (machine_of(communicator.rank()) != machine_of(root)) made.address = LifelineAddress::decode(address);
  return made;
}

/// At once: MPI may wait for the dead for ever. The zygote ends the executors.
[[noreturn]] void leave_without(int master, const std::string& host, const std::string& pool, const std::string& why) {
  support::print_notice(
      pool, "the master, rank " + std::to_string(master) + " on " + host + ", is lost: " + why + "; this rank ends");
  _exit(EXIT_FAILURE);
}

std::size_t leaders_elsewhere(const Layout& layout, const std::vector<RankFacts>& facts, int root) {
  const auto machine_of = [&facts](int rank) { return facts[static_cast<std::size_t>(rank)].machine; };
  return static_cast<std::size_t>(std::ranges::count_if(
      layout.nodes, [&](const NodePlan& node) { return machine_of(node.leader) != machine_of(root); }));
}

std::vector<master::RemoteNode> remote_nodes(const Layout& layout, const std::vector<RankFacts>& facts, int root) {
  std::vector<master::RemoteNode> remote;
  for (const NodePlan& node : layout.nodes) {
    if (node.leader == root) continue;
    const RankFacts& leader = facts[static_cast<std::size_t>(node.leader)];
    const bool is_here = leader.machine == facts[static_cast<std::size_t>(root)].machine;
    remote.push_back({node.leader, node.executors, is_here ? leader.process.pid : 0});
  }
  return remote;
}

}  // namespace

std::shared_ptr<master::Engine> start_alone(const PoolSettings& settings, host::Zygote& zygote) {
  const std::vector<RankFacts> facts{my_facts(zygote)};
  if (settings.inline_tasks) return start_inline(settings, facts, 0, std::nullopt);
  const Layout layout = plan_layout(facts, layout_options(settings, 0, false));
  print_layout(settings, layout, facts, {});
  auto host = std::make_unique<host::SharedHost>(
      host_config(settings, layout, layout.nodes.front(), facts, next_channel_id()), zygote);
  host->start();
  auto options = engine_options(settings, facts, std::nullopt);
  options.foreign_threads += EndWatch::threads(nullptr);
  return master::Engine::make(std::move(options), std::move(host), layout.nodes.front().executors, nullptr,
                              std::span<const master::RemoteNode>());
}

std::vector<RankFacts> gather_facts(const boost::mpi::communicator& communicator, const host::Zygote& zygote) {
  return transport::gather_facts(communicator, my_facts(zygote));
}

std::vector<support::ProcessWatch> watch_neighbours(const std::vector<RankFacts>& facts, int self) {
  std::vector<support::ProcessWatch> neighbours;
  for (int rank = 0; rank < static_cast<int>(facts.size()); ++rank) {
    if (rank == self) continue;
    if (auto watch = watch_if_here(facts, rank, self)) neighbours.push_back(std::move(*watch));
  }
  return neighbours;
}

StartedPool start_on(const boost::mpi::communicator& communicator, const std::vector<RankFacts>& facts,
                     const PoolSettings& mine, host::Zygote& zygote, const Start& start) {
  const bool is_root = communicator.rank() == start.root;
  // Before anything that depends on the executable, such as the initializer's address.
  if (const auto odd = check_same_program(facts)) throw BinaryMismatch(*odd);
  const PoolSettings settings = settings_of_all(communicator, mine, start.root);
  if (settings.inline_tasks) {
    start.all_met();
    if (!is_root) return {};
    return {.engine = start_inline(mine, facts, communicator.rank(), start.only_thread),
            .lifelines = nullptr,
            .lifeline = nullptr};
  }
  const Layout layout = plan_layout(facts, layout_options(settings, start.root, start.launched));
  if (is_root) print_layout(mine, layout, facts, transport::MpiSession::library());
  const RankPlan& rank = layout.ranks[static_cast<std::size_t>(communicator.rank())];
  const NodePlan& node = layout.nodes[static_cast<std::size_t>(rank.node)];
  const std::uint64_t channel_id = next_channel_id();
  NodeEnd end = open_channel(communicator, host_config(settings, layout, node, facts, channel_id), node, zygote);
  Lifelines lifelines = make_lifelines(communicator, facts, start.root);
  start.all_met();
  if (end.host == nullptr) {
    serve_as_member(*end.channel, channel_id, communicator.rank(), node, zygote);
    return {};
  }
  std::unique_ptr<transport::Transport> transport;
  if (layout.nodes.size() > 1) transport = std::make_unique<transport::Transport>(communicator);
  end.host->start(other_ranks(node, facts));
  if (!is_root) {
    const auto master = watch_if_here(facts, start.root, communicator.rank());
    std::unique_ptr<Lifeline> lifeline;
    if (lifelines.address) {
      const auto leave = [master = start.root, host = facts[static_cast<std::size_t>(start.root)].host,
                          name = settings.name](const std::string& why) { leave_without(master, host, name, why); };
      lifeline = std::make_unique<Lifeline>(*lifelines.address, communicator.rank(), leave);
    }
    worker::serve(*end.host, *transport, start.root, master ? &*master : nullptr);
    return {.engine = nullptr, .lifelines = nullptr, .lifeline = std::move(lifeline)};
  }
  if (lifelines.hub) lifelines.hub->expect(leaders_elsewhere(layout, facts, start.root));
  auto options = engine_options(mine, facts, start.only_thread);
  options.foreign_threads += EndWatch::threads(lifelines.hub.get());
  return {.engine = master::Engine::make(std::move(options), std::move(end.host), node.executors, std::move(transport),
                                         remote_nodes(layout, facts, start.root)),
          .lifelines = std::move(lifelines.hub),
          .lifeline = nullptr};
}

}  // namespace rankpool::launch
