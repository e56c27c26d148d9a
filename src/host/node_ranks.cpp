#include "host/node_ranks.hpp"

namespace rankpool::host {
namespace {

// Above what a zygote allows itself for its executors' end.
constexpr auto zygotes_patience = std::chrono::seconds(4);

}  // namespace

void NodeRanks::watch(const std::vector<NodeRank>& others) {
  members_.clear();
  for (const NodeRank& rank : others) members_.emplace_back(rank);
}

std::vector<std::uint32_t> NodeRanks::look(Clock::time_point now) {
  std::vector<std::uint32_t> lost;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].state != State::lost && is_lost_now(members_[i], now)) {
      members_[i].state = State::lost;
      lost.push_back(static_cast<std::uint32_t>(i + 1));
    }
  }
  return lost;
}

bool NodeRanks::is_lost_now(Member& member, Clock::time_point now) {
  if (member.state == State::lives) {
    if (!member.process.has_ended()) return false;
    member.state = State::ending;
    member.died = now;
    member.zygote.emplace(member.rank.zygote);
  }
  if (member.zygote->has_ended()) return true;
  if (now - member.died > zygotes_patience) member.zygote->kill();
  return false;
}

bool NodeRanks::is_lost(std::uint32_t member) const {
  return member != 0 && member <= members_.size() && members_[member - 1].state == State::lost;
}

}  // namespace rankpool::host
