// Finds those who wait for shared objects in vain: in a ring of locks' holders, or because nobody else goes on either.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "shared/object.hpp"

namespace rankpool::master {

class DeadlockWatch {
 public:
  /// One that waits as long as it takes.
  struct Wait {
    shared::ParticipantId who = shared::nobody;
    std::uint64_t task = 0;  ///< 1 + its index; 0: a thread of the master
    std::int32_t rank = -1;  ///< of its executor
    std::uint64_t place = 0;
    std::uint64_t ticket = 0;
    std::string object = {};  ///< "lock 3"
    shared::ParticipantId holder = shared::nobody;

    [[nodiscard]] bool is_same(const Wait& other) const {
      return who == other.who && place == other.place && ticket == other.ticket;
    }
  };
  using Clock = std::chrono::steady_clock;
  using Name = std::function<std::string(const Wait& wait)>;

  /// Between two looks: less where some have just been found, for those that come to wait in their place.
  [[nodiscard]] Clock::duration pause() const { return pause_; }
  [[nodiscard]] bool is_at_rest() const { return pause_ == longest_pause; }
  /// @returns whether it is time for a look, which is counted as taken.
  bool is_due(Clock::time_point now = Clock::now());

  /// What is read while others go on may not fit together; who waits in vain does so at the
  /// next look, too.
  /// @param waits of all participants.
  /// @param idle_since there where nobody seems to go on: then all wait in vain if the number is still the same at the
  /// next look.
  /// @returns those who wait in vain and did so at the last look.
  std::vector<Wait> look(const std::vector<Wait>& waits, std::optional<std::uint64_t> idle_since);

  /// @param all who wait in vain. @param name of one that waits. @returns who waits for what, and who holds it.
  static std::string describe(const std::vector<Wait>& all, const Name& name);

 private:
  static constexpr Clock::duration longest_pause = std::chrono::milliseconds(100);
  static constexpr Clock::duration shortest_pause = std::chrono::milliseconds(2);

  static std::vector<Wait> in_rings(const std::vector<Wait>& waits);

  Clock::duration pause_ = longest_pause;
  Clock::time_point due_{};
  std::vector<Wait> before_;
  std::optional<std::uint64_t> idle_since_;
};

}  // namespace rankpool::master
