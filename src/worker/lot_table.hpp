// The lots a leader has been given, and the channel memory that holds their inputs.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "host/host.hpp"
#include "wire/messages.hpp"

namespace rankpool::worker {

class LotTable {
 public:
  explicit LotTable(host::Host& host) : host_(host) {}

  /// @throws wire::Malformed for a call that is open.
  void open_call(host::CallId call, std::uint64_t input_stride);
  void close_call(host::CallId call);

  /// Copies the lot's inputs to the channel. @returns the lot, ready to be posted.
  /// @throws wire::Malformed for a lot that does not fit its call, std::system_error if the channel is full.
  host::Lot admit(const wire::RunLot& message);

  [[nodiscard]] bool contains(host::LotId lot) const { return open_.contains(lot); }

  /// `count` tasks of the lot have ended or were given back.
  void account(host::LotId lot, std::uint64_t count);

  /// Frees the memory of lots that have ended. Not from inside Host::poll().
  void release_ended();

 private:
  struct Entry {
    std::uint64_t memory = 0;
    bool holds_memory = false;
    std::uint64_t tasks_left = 0;
  };

  host::Piece store(const wire::RunLot& message, Entry& entry);

  host::Host& host_;
  std::unordered_map<host::CallId, std::uint64_t> strides_;
  std::unordered_map<host::LotId, Entry> open_;
  std::vector<std::uint64_t> ended_;  ///< memory of lots that have ended
};

}  // namespace rankpool::worker
