// The lots a leader has been given, and the channel memory that holds their inputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "host/host.hpp"
#include "wire/messages.hpp"

namespace rankpool::worker {

class LotTable {
 public:
  explicit LotTable(host::Host& host) : host_(&host, [](host::Host*) {}) {}

  /// @throws wire::Malformed for a call that is open.
  void open_call(host::CallId call, std::uint64_t input_stride);
  void close_call(host::CallId call);

  /// Memory in the channel for the inputs of a lot that comes; null if the channel is full. Who holds it still when the
  /// table is gone may use it, and lets it be.
  [[nodiscard]] std::shared_ptr<std::byte[]> reserve(std::size_t bytes);

  /// Copies the lot's inputs to the channel, if they are not there.
  /// @param inputs the owner of the message's inputs, which may be what reserve() returned.
  /// @returns the lot, ready to be posted.
  /// @throws wire::Malformed for a lot that does not fit its call, std::system_error if the channel is full.
  host::Lot admit(const wire::RunLot& message, const std::shared_ptr<const void>& inputs = nullptr);

  [[nodiscard]] bool contains(host::LotId lot) const { return open_.contains(lot); }

  /// `count` tasks of the lot have ended or were given back.
  void account(host::LotId lot, std::uint64_t count);

  /// Frees the memory of lots that have ended. Not from inside Host::poll().
  void release_ended();

 private:
  struct Release;  // how a block is let go of

  /// A block of the channel's memory.
  struct Block {
    std::shared_ptr<const void> owner;
    std::uint64_t offset = 0;
  };

  struct Entry {
    Block inputs;
    Block offsets;
    std::uint64_t tasks_left = 0;
  };

  [[nodiscard]] std::shared_ptr<std::byte[]> allocate(std::size_t bytes);
  [[nodiscard]] Block store(detail::Bytes bytes);

  std::shared_ptr<host::Host> host_;  ///< owned by others: this tells the blocks whether it is still there
  std::unordered_map<host::CallId, std::uint64_t> strides_;
  std::unordered_map<host::LotId, Entry> open_;
  std::vector<Entry> ended_;
};

}  // namespace rankpool::worker
