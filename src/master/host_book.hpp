// What the engine knows of its hosts: whether they serve, and why one is lost.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "host/lot.hpp"
#include "host/slots.hpp"
#include "scheduler/commands.hpp"

namespace rankpool::master {

class HostBook {
 public:
  enum class State {
    serving,
    without_executors,  ///< none was asked for, or none can be started at the moment
    lost                ///< for good
  };

  /// The next host; they are numbered from 0 on.
  void add(std::uint32_t executors) {
    hosts_.push_back({.state = executors == 0 ? State::without_executors : State::serving, .executors = executors});
  }

  [[nodiscard]] State state(scheduler::HostId host) const { return hosts_[host].state; }
  [[nodiscard]] bool is_lost(scheduler::HostId host) const { return state(host) == State::lost; }
  [[nodiscard]] bool any_serves() const { return std::ranges::count(hosts_, State::serving, &Entry::state) != 0; }

  /// Of a host that isn't lost.
  void set_executors(scheduler::HostId host, std::uint32_t executors) {
    hosts_[host].state = executors == 0 ? State::without_executors : State::serving;
  }
  void note_executors(scheduler::HostId host, std::uint32_t executors) { hosts_[host].executors = executors; }
  void note_blocked(scheduler::HostId host, const host::Blocked& blocked) { hosts_[host].blocked = blocked; }
  [[nodiscard]] const host::Blocked& blocked(scheduler::HostId host) const { return hosts_[host].blocked; }
  /// Executors that can begin tasks, or soon will.
  [[nodiscard]] std::uint32_t beginners(scheduler::HostId host) const {
    return hosts_[host].blocked.all ? 0 : slots(host);
  }
  /// Executors that have tasks, or may have: for one that is blocked a spare one serves.
  [[nodiscard]] std::uint32_t slots(scheduler::HostId host) const {
    const Entry& entry = hosts_[host];
    return std::min(entry.executors + entry.blocked.executors, host::slots_for(entry.executors));
  }
  /// Of all hosts, without spare ones.
  [[nodiscard]] std::uint64_t executors() const {
    std::uint64_t all = 0;
    for (const Entry& entry : hosts_) all += entry.executors;
    return all;
  }
  [[nodiscard]] scheduler::HostId size() const { return static_cast<scheduler::HostId>(hosts_.size()); }

  void lose(scheduler::HostId host, const std::string& why) {
    hosts_[host].state = State::lost;
    hosts_[host].executors = 0;
    hosts_[host].blocked = {};
    hosts_[host].why_lost = why;
  }
  /// Empty of one that isn't.
  [[nodiscard]] const std::string& why_lost(scheduler::HostId host) const { return hosts_[host].why_lost; }

  /// @returns true the first time.
  bool may_warn_of(scheduler::HostId host) { return !std::exchange(hosts_[host].warned_of, true); }

 private:
  struct Entry {
    State state = State::serving;
    std::uint32_t executors = 0;
    host::Blocked blocked = {};
    bool warned_of = false;  ///< for lack of executors
    std::string why_lost = {};
  };

  std::vector<Entry> hosts_;
};

}  // namespace rankpool::master
