// A TCP connection between the master and the leader of each other machine, on which nothing is said but good-bye.
// Its end without that tells each of the other's death: at once where a process was killed, and by the kernel's
// keep-alive probes within half a minute where a machine has lost its power or its link. The probes are answered by
// kernels: neither long tasks nor a stopped process are taken for a death. MPI says nothing of all that.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/event.hpp"
#include "support/unique_fd.hpp"

namespace rankpool::launch {

/// Where the master listens, for those who are to call.
struct LifelineAddress {
  std::uint64_t token = 0;  ///< by which it knows them
  std::uint16_t port = 0;
  std::vector<std::string> hosts;  ///< numeric addresses; any of them

  [[nodiscard]] std::vector<std::byte> encode() const;
  static LifelineAddress decode(const std::vector<std::byte>& bytes);
};

/// The master's ends.
class LifelineHub {
 public:
  /// @param why "its connection was closed".
  using OnLost = std::function<void(int rank, const std::string& why)>;

  /// Listens. @throws std::system_error
  LifelineHub();
  LifelineHub(const LifelineHub&) = delete;
  LifelineHub& operator=(const LifelineHub&) = delete;
  /// Says good-bye.
  ~LifelineHub();

  [[nodiscard]] const LifelineAddress& address() const { return address_; }

  /// Those who are to call; to be told before watch().
  void expect(std::size_t leaders) { expected_ = leaders; }

  using Warn = std::function<void(const std::string& text)>;

  /// Begins to watch, in a thread of its own. To be called once.
  /// @param on_lost called in that thread, once for each rank that is lost.
  /// @param warn called in that thread where leaders don't call in time: they are not watched.
  void watch(OnLost on_lost, Warn warn);

  /// The others are to take its end for that of the master.
  void end_without_good_bye() { has_good_bye_ = false; }

 private:
  struct Caller {
    support::UniqueFd line;
    std::chrono::steady_clock::time_point since;
  };

  void serve();
  void admit();
  void hear(Caller& caller);
  void hear_line(int rank);
  void look_at_missing();
  void drop_silent_callers();
  [[nodiscard]] bool takes_callers() const;
  [[nodiscard]] int patience() const;

  LifelineAddress address_;
  support::UniqueFd listener_;
  support::Event stop_;
  std::vector<Caller> callers_;             ///< that have not said yet who they are
  std::map<int, support::UniqueFd> lines_;  ///< by rank
  std::size_t expected_ = 0;
  std::set<int> admitted_;  ///< ranks that have confirmed
  std::chrono::steady_clock::time_point begun_{};
  std::chrono::steady_clock::time_point no_callers_until_{};
  OnLost on_lost_;
  Warn warn_;
  bool has_good_bye_ = true;
  std::thread thread_;
};

/// A leader's end.
class Lifeline {
 public:
  using OnLost = std::function<void(const std::string& why)>;

  /// Calls the master, in a thread of its own; where that can't be reached nothing is watched, and the master warns.
  /// @param on_lost called in that thread, once.
  Lifeline(LifelineAddress address, int rank, OnLost on_lost);
  Lifeline(const Lifeline&) = delete;
  Lifeline& operator=(const Lifeline&) = delete;
  /// Says good-bye, unless an exception is flying: that the master should hear of.
  ~Lifeline();

  /// Whether the master has been reached, and knows this leader.
  [[nodiscard]] bool is_connected() const { return connected_; }

 private:
  void serve();
  [[nodiscard]] support::UniqueFd call() const;
  [[nodiscard]] bool is_to_stop(int file, short events, std::chrono::milliseconds wait) const;

  LifelineAddress address_;
  int rank_;
  OnLost on_lost_;
  int exceptions_ = std::uncaught_exceptions();
  bool has_good_bye_ = true;
  support::Event stop_;
  std::atomic<bool> connected_ = false;
  std::thread thread_;
};

}  // namespace rankpool::launch
