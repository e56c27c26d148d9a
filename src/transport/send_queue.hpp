// Messages on their way to other ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "transport/link.hpp"
#include "transport/transport.hpp"

namespace rankpool::transport {

/// As Transport has it.
class SendQueue {
 public:
  SendQueue(const Link& link, TransportLimits limits);
  SendQueue(const SendQueue&) = delete;
  SendQueue& operator=(const SendQueue&) = delete;
  ~SendQueue();

  void send(int peer, std::vector<std::byte>&& message, Cargo cargo);
  std::vector<std::byte> buffer();
  void progress();
  [[nodiscard]] bool all_sent() const { return requests_.empty(); }
  [[nodiscard]] std::uint64_t bytes_under_way() const;
  void give_up(int peer);
  [[nodiscard]] bool is_given_up(int peer) const { return peers_[static_cast<std::size_t>(peer)].given_up; }

 private:
  struct Outgoing {
    enum class Next { header, message, cargo, nothing };

    std::vector<std::byte> bytes;
    Cargo cargo;
    Header header;  ///< `bytes` may be recycled once they are sent
    Next next = Next::header;
    std::size_t posted = 0;  ///< bytes of what is next that MPI was given
  };

  struct Peer {
    std::deque<std::shared_ptr<Outgoing>> waiting;
    std::size_t sends = 0;  ///< MPI sends in flight
    bool given_up = false;
  };

  struct Send {
    int peer = 0;
    std::shared_ptr<Outgoing> message;
  };

  static void leave_to_mpi(Send& send);
  void post(int peer);
  [[nodiscard]] bool travels_whole(const Outgoing& message) const;
  void post_next(int peer, const std::shared_ptr<Outgoing>& message);
  void post_part(int peer, const std::shared_ptr<Outgoing>& message, std::span<const std::byte> bytes,
                 Outgoing::Next after);
  void isend(int peer, const std::shared_ptr<Outgoing>& message, const void* data, std::size_t size, Tag tag);
  void finish_send(std::size_t at);
  void remove_send(std::size_t at);
  void recycle(std::vector<std::byte>&& bytes);

  const Link& link_;
  TransportLimits limits_;
  std::vector<Peer> peers_;
  std::vector<MPI_Request> requests_;  ///< of sends_, in the same order
  std::vector<Send> sends_;
  std::vector<int> completed_;
  std::vector<std::vector<std::byte>> spare_;
};

}  // namespace rankpool::transport
