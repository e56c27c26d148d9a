#include "launch/identity.hpp"

#include <map>
#include <vector>

namespace rankpool::launch {
namespace {

std::uint64_t program_of_majority(std::span<const transport::RankFacts> ranks) {
  std::map<std::uint64_t, std::size_t> votes;
  for (const auto& rank : ranks) ++votes[rank.executable_id];
  std::uint64_t winner = ranks.front().executable_id;
  for (const auto& [program, count] : votes) {
    if (count > votes[winner]) winner = program;
  }
  return winner;
}

}  // namespace

std::optional<std::string> check_same_program(std::span<const transport::RankFacts> ranks) {
  if (ranks.empty()) return std::nullopt;
  const std::uint64_t program = program_of_majority(ranks);
  constexpr std::size_t most_named = 8;
  std::size_t odd = 0;
  std::string names;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    if (ranks[rank].executable_id == program) continue;
    if (++odd > most_named) continue;
    if (odd > 1) names += ", ";
    names += "rank " + std::to_string(rank) + " on " + ranks[rank].host;
  }
  if (odd == 0) return std::nullopt;
  if (odd > most_named) names += " and " + std::to_string(odd - most_named) + " more";
  return "rankpool: " + names + (odd == 1 ? " runs" : " run") + " another executable than the other " +
         std::to_string(ranks.size() - odd) + " of " + std::to_string(ranks.size()) +
         " ranks. Start the same build of the program on all of them (is there an old copy on that host?).";
}

}  // namespace rankpool::launch
