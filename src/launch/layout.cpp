#include "launch/layout.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <queue>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "launch/cpu_shares.hpp"
#include "support/text.hpp"

namespace rankpool::launch {
namespace {

using support::in_words;
using transport::RankFacts;
using Facts = std::span<const RankFacts>;
using Groups = std::vector<std::vector<int>>;  // ranks, ascending

const RankFacts& facts_of(Facts ranks, int rank) { return ranks[static_cast<std::size_t>(rank)]; }

template <class Key>
Groups group_by(Facts ranks, const Key& key) {
  std::map<decltype(key(0)), std::size_t> index;
  Groups groups;
  for (int rank = 0; rank < static_cast<int>(ranks.size()); ++rank) {
    const auto [found, added] = index.try_emplace(key(rank), groups.size());
    if (added) groups.emplace_back();
    groups[found->second].push_back(rank);
  }
  return groups;
}

auto machine_key(Facts ranks, int rank) {
  const RankFacts& facts = facts_of(ranks, rank);
  return std::tuple(facts.node_group, facts.machine);
}

Groups group_by_machine(Facts ranks) {
  return group_by(ranks, [&](int rank) { return machine_key(ranks, rank); });
}

Groups group_by_node(Facts ranks, std::uint64_t test_nodes) {
  const std::uint64_t pretended = std::clamp<std::uint64_t>(test_nodes, 1, ranks.size());
  return group_by(ranks, [&](int rank) {
    return std::tuple(machine_key(ranks, rank), static_cast<std::uint64_t>(rank) * pretended / ranks.size());
  });
}

// None needs more than a machine has; products of it must not overflow.
std::uint64_t threads_of(const LayoutOptions& options) {
  return std::clamp<std::uint64_t>(options.threads_per_task, 1, 1 << 20);
}

// Executors that each rank has room for.
std::vector<std::uint64_t> capacities(Facts ranks, const LayoutOptions& options) {
  std::vector<std::uint64_t> result(ranks.size());
  const auto threads = static_cast<double>(threads_of(options));
  for (const std::vector<int>& machine : group_by_machine(ranks)) {
    const std::vector<double> shares = share_cpus(ranks, machine).shares;
    for (std::size_t i = 0; i < machine.size(); ++i) {
      result[static_cast<std::size_t>(machine[i])] = std::max<std::uint64_t>(1, whole_cpus(shares[i] / threads));
    }
  }
  // The master keeps a CPU to itself, except where it is all there is.
  if (ranks.size() > 1) --result[static_cast<std::size_t>(options.root)];
  return result;
}

// Deals executors one at a time to the rank that is furthest from full.
std::vector<std::uint32_t> deal(std::uint64_t processes, const std::vector<std::uint64_t>& capacity, int root) {
  struct Hand {
    std::uint64_t count;
    std::uint64_t capacity;
    bool root;
    std::size_t rank;
  };
  const auto later = [](const Hand& a, const Hand& b) {
    const std::uint64_t left = a.count * b.capacity;  // count / capacity, without rounding
    const std::uint64_t right = b.count * a.capacity;
    return std::tie(left, a.root, a.rank) > std::tie(right, b.root, b.rank);
  };
  std::priority_queue<Hand, std::vector<Hand>, decltype(later)> hands(later);
  for (std::size_t rank = 0; rank < capacity.size(); ++rank) {
    if (capacity[rank] > 0) hands.push({0, capacity[rank], static_cast<int>(rank) == root, rank});
  }
  std::vector<std::uint32_t> dealt(capacity.size());
  for (std::uint64_t left = processes; left > 0; --left) {
    Hand hand = hands.top();
    hands.pop();
    ++hand.count;
    ++dealt[hand.rank];
    hands.push(hand);
  }
  return dealt;
}

// CPUs that ranks of this machine could have had; 0 where that says nothing.
std::uint64_t offered_cpus(const RankFacts& facts, bool launched) {
  if (facts.cpus_of_job != 0) return facts.cpus_of_job;
  double offered = launched ? facts.cpus_online : 0;  // who starts a program alone with taskset means it
  for (const support::CpuLimit& limit : facts.limits) offered = std::min(offered, limit.cpus);
  return whole_cpus(offered);
}

// Ranks of a machine together use less than half of it: most often one rank that mpirun has bound to one core.
void warn_of_unused_cpus(Facts ranks, const LayoutOptions& options, std::vector<std::string>& warnings) {
  std::size_t machines = 0;
  std::string text;
  for (const std::vector<int>& machine : group_by_machine(ranks)) {
    const RankFacts& facts = facts_of(ranks, machine.front());
    const std::uint32_t usable = support::count_cpus(cpus_of(ranks, machine));
    const std::uint64_t offered = offered_cpus(facts, options.launched);
    if (std::uint64_t{usable} * 2 >= offered || machines++ > 0) continue;
    text = "the " + in_words(machine.size(), "rank") + " on " + facts.host + " may use only " + std::to_string(usable) +
           " of its " + in_words(offered, "CPU");
  }
  if (machines == 0) return;
  if (machines > 1) text += ", and so on " + in_words(machines - 1, "other node");
  warnings.push_back(text +
                     ": start with `mpirun --bind-to none` (under srun with `--cpus-per-task`), or a rank per core");
}

std::vector<std::uint32_t> executors_per_rank(Facts ranks, const LayoutOptions& options,
                                              std::vector<std::string>& warnings) {
  const std::vector<std::uint64_t> capacity = capacities(ranks, options);
  std::uint64_t room = 0;
  for (const std::uint64_t share : capacity) room += share;
  const std::uint64_t wanted = options.processes == 0 ? room : options.processes;
  constexpr std::uint64_t most = 1 << 20;
  if (wanted > most) {
    throw std::invalid_argument("processes = " + std::to_string(wanted) + " is more than " + std::to_string(most));
  }
  if (wanted > room) {
    warnings.push_back(in_words(wanted, "executor") + " will share CPUs that have room for " + std::to_string(room) +
                       ": expect them to be slower");
  }
  // Fewer executors than CPUs, as asked for, leave CPUs idle anyway.
  if (options.processes == 0 || wanted > room) warn_of_unused_cpus(ranks, options, warnings);
  if (options.processes != 0) return deal(wanted, capacity, options.root);
  return {capacity.begin(), capacity.end()};
}

void lead_with_root(Groups& nodes, int root) {
  const auto home = std::ranges::find_if(
      nodes, [root](const std::vector<int>& node) { return std::ranges::binary_search(node, root); });
  std::rotate(nodes.begin(), home, home + 1);
}

// Where MPI puts several of our machines on one, their processes don't know of each other.
bool shares_hardware(Facts ranks, int rank) {
  const RankFacts& mine = facts_of(ranks, rank);
  return std::ranges::any_of(ranks, [&](const RankFacts& other) {
    return other.node_group == mine.node_group && other.machine != mine.machine;
  });
}

// By machine: pretended nodes of one share its CPUs.
void bind_executors(Facts ranks, const LayoutOptions& options, Layout& layout) {
  Groups machines = group_by_machine(ranks);
  for (std::vector<int>& machine : machines) {
    if (shares_hardware(ranks, machine.front())) continue;
    Crew crew{.ranks = std::move(machine),
              .executors = {},
              .threads = threads_of(options),
              .is_asked_for = options.processes != 0};
    for (const int rank : crew.ranks) {
      crew.executors.push_back(layout.ranks[static_cast<std::size_t>(rank)].executors);
    }
    support::CpuMask cpus = cpus_to_fill(ranks, crew, options.launched);
    if (cpus.empty()) continue;
    for (const int rank : crew.ranks) {
      const int node = layout.ranks[static_cast<std::size_t>(rank)].node;
      layout.nodes[static_cast<std::size_t>(node)].bound = layout.bound.size();
    }
    layout.bound.push_back({.crew = std::move(crew), .cpus = std::move(cpus)});
  }
}

}  // namespace

Layout plan_layout(std::span<const RankFacts> ranks, const LayoutOptions& options) {
  if (options.root < 0 || static_cast<std::size_t>(options.root) >= ranks.size()) {
    throw std::invalid_argument("root = " + std::to_string(options.root) + " is not one of the " +
                                in_words(ranks.size(), "rank"));
  }
  Layout layout;
  const std::vector<std::uint32_t> executors = executors_per_rank(ranks, options, layout.warnings);
  Groups nodes = group_by_node(ranks, options.test_nodes);
  lead_with_root(nodes, options.root);
  layout.ranks.resize(ranks.size());
  for (std::vector<int>& members : nodes) {
    NodePlan node;
    node.leader = layout.nodes.empty() ? options.root : members.front();
    node.cpus = cpus_of(ranks, members);
    const CpuShares shares = share_cpus(ranks, members);
    const double cpus = std::accumulate(shares.shares.begin(), shares.shares.end(), 0.0);
    node.capacity = std::max<std::uint64_t>(1, whole_cpus(cpus));
    node.limited_by = shares.limited_by;
    for (const int rank : members) {
      const std::uint32_t count = executors[static_cast<std::size_t>(rank)];
      layout.ranks[static_cast<std::size_t>(rank)] = {
          .node = static_cast<int>(layout.nodes.size()), .executors = count, .first_slot = node.executors};
      node.executors += count;
    }
    layout.executors += node.executors;
    node.ranks = std::move(members);
    layout.nodes.push_back(std::move(node));
  }
  bind_executors(ranks, options, layout);
  return layout;
}

}  // namespace rankpool::launch
