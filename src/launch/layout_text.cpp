#include "launch/layout_text.hpp"

#include <algorithm>
#include <cstddef>
#include <sstream>
#include <vector>

#include "support/cpu_mask.hpp"
#include "support/text.hpp"

namespace rankpool::launch {
namespace {

using support::in_words;

/// Nodes of which the same is to be said.
struct Kind {
  std::string text;
  std::string host;  ///< of the first of them
  std::size_t nodes = 1;
};

std::string text_of(const NodePlan& node) {
  const std::uint32_t cpus = support::count_cpus(node.cpus);
  std::string text = std::to_string(node.executors) + " on ";
  if (node.limited_by) {
    text += std::to_string(node.capacity) + " of " + in_words(cpus, "CPU");
    text += *node.limited_by == support::CpuLimit::Source::quota ? " by quota" : " by Slurm";
  } else {
    text += in_words(cpus, "CPU");
  }
  return node.bound ? text + ", bound" : text;
}

std::vector<Kind> kinds_of(const Layout& layout, std::span<const transport::RankFacts> ranks) {
  std::vector<Kind> kinds;
  for (const NodePlan& node : layout.nodes) {
    const std::string text = text_of(node);
    const auto found = std::ranges::find(kinds, text, &Kind::text);
    if (found != kinds.end()) {
      ++found->nodes;
    } else {
      kinds.push_back({.text = text, .host = ranks[static_cast<std::size_t>(node.leader)].host});
    }
  }
  return kinds;
}

void describe_nodes(const std::vector<Kind>& kinds, std::ostream& text) {
  constexpr std::size_t most = 8;
  std::size_t others = 0;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const Kind& kind = kinds[i];
    if (i >= most) {
      others += kind.nodes;
      continue;
    }
    text << (i == 0 ? " " : ", ");
    if (kind.nodes > 1) text << kind.nodes << " like ";
    text << kind.host << " (" << kind.text << ')';
  }
  if (others > 0) text << ", and " << in_words(others, "other");
}

void describe_transport(const Layout& layout, std::string_view mpi_library, std::ostream& text) {
  if (mpi_library.empty()) {
    text << "; shared memory, no MPI";
    return;
  }
  text << "; " << mpi_library << "; shared memory on a node";
  if (layout.nodes.size() > 1) text << ", MPI between nodes";
}

}  // namespace

std::string describe(const Layout& layout, std::span<const transport::RankFacts> ranks, std::string_view mpi_library) {
  std::ostringstream text;
  text << in_words(layout.executors, "executor") << ", " << in_words(layout.ranks.size(), "rank") << ", "
       << in_words(layout.nodes.size(), "node") << ':';
  describe_nodes(kinds_of(layout, ranks), text);
  describe_transport(layout, mpi_library, text);
  return text.str();
}

}  // namespace rankpool::launch
