// What a node's leader knows of the ranks that share its node: whether they live.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "support/process_watch.hpp"

namespace rankpool::host {

/// A rank that doesn't lead its node.
struct NodeRank {
  int rank = -1;
  support::ProcessIdentity process;
  support::ProcessIdentity zygote;
};

class NodeRanks {
 public:
  using Clock = std::chrono::steady_clock;

  /// The node's ranks without the leader, in the order of their member numbers, which begin at 1.
  void watch(const std::vector<NodeRank>& others);

  /// Looks for ranks that have died. A rank is lost when its zygote has gone too: until then that ends the executors
  /// and what they have started.
  /// @returns the members lost since the last look.
  std::vector<std::uint32_t> look(Clock::time_point now = Clock::now());

  [[nodiscard]] bool is_lost(std::uint32_t member) const;
  [[nodiscard]] const NodeRank& rank(std::uint32_t member) const { return members_[member - 1].rank; }

 private:
  enum class State {
    lives,
    ending,  ///< its zygote still has to go
    lost
  };
  struct Member {
    explicit Member(const NodeRank& of) : rank(of), process(of.process) {}
    NodeRank rank;
    support::ProcessWatch process;
    std::optional<support::ProcessWatch> zygote;  ///< once it matters: a node may have many ranks, and few descriptors
    State state = State::lives;
    Clock::time_point died{};
  };

  static bool is_lost_now(Member& member, Clock::time_point now);

  std::vector<Member> members_;
};

}  // namespace rankpool::host
