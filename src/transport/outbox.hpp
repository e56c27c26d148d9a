// Batches the wire messages of one engine step: one MPI message per peer.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "transport/transport.hpp"
#include "wire/codec.hpp"

namespace rankpool::transport {

class Outbox {
 public:
  explicit Outbox(Transport& transport) : transport_(transport) {}

  /// Adds a message for `peer`. What was added first arrives first.
  template <class Message>
  void add(int peer, const Message& message) {
    const bool large = wire::payload_size(message) >= alone_bytes;
    if (large) flush(peer);
    std::vector<std::byte>& batch = batch_for(peer);
    wire::encode(batch, message);
    if (large || batch.size() >= batch_bytes) flush(peer);
  }

  /// The same for one whose payload is sent from where it lies.
  /// @param owner as in Cargo; if null, the payload is copied.
  template <class Message>
  void add_from_place(int peer, const Message& message, std::shared_ptr<const void> owner) {
    if (owner == nullptr) return add(peer, message);
    std::vector<std::byte>& batch = batch_for(peer);
    wire::encode_but_payload(batch, message);
    transport_.send(peer, std::exchange(batch, {}), {.bytes = wire::payload_of(message), .owner = std::move(owner)});
  }

  /// Whether that pays.
  template <class Message>
  [[nodiscard]] static bool is_large(const Message& message) {
    return wire::payload_of(message).size() >= alone_bytes;
  }

  /// Sends all batches.
  void flush() {
    for (auto& [peer, batch] : batches_) send(peer, batch);
  }

  // Copying a payload of this size into a batch that has to grow costs more than a message of its own.
  static constexpr std::size_t alone_bytes = std::size_t{64} << 10;
  // Enough to make MPI's cost per message vanish, small enough for the peer to start before the batch is complete.
  static constexpr std::size_t batch_bytes = std::size_t{256} << 10;

 private:
  std::vector<std::byte>& batch_for(int peer) {
    std::vector<std::byte>& batch = batches_[peer];
    if (batch.empty()) batch = transport_.buffer();
    return batch;
  }

  void flush(int peer) {
    if (const auto found = batches_.find(peer); found != batches_.end()) send(peer, found->second);
  }

  void send(int peer, std::vector<std::byte>& batch) {
    if (batch.empty()) return;
    transport_.send(peer, std::move(batch));
    batch = {};
  }

  Transport& transport_;
  std::map<int, std::vector<std::byte>> batches_;
};

}  // namespace rankpool::transport
