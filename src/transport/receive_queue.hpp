// Messages on their way from other ranks.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "transport/link.hpp"
#include "transport/transport.hpp"

namespace rankpool::transport {

/// As Transport has it.
class ReceiveQueue {
 public:
  using Receiver = Transport::Receiver;
  using Dock = Transport::Dock;

  explicit ReceiveQueue(const Link& link) : link_(link) {}
  ReceiveQueue(const ReceiveQueue&) = delete;
  ReceiveQueue& operator=(const ReceiveQueue&) = delete;
  ~ReceiveQueue();

  void set_dock(Dock dock) { dock_ = std::move(dock); }
  bool poll(const Receiver& receive);
  void give_up(int peer);

 private:
  /// Memory that, unlike a vector's, is not cleared before MPI fills it.
  class ReceiveBuffer {
   public:
    ReceiveBuffer() = default;
    explicit ReceiveBuffer(std::size_t size)
        : bytes_(std::make_unique_for_overwrite<std::byte[]>(size)), capacity_(size) {}

    [[nodiscard]] std::byte* data() const { return bytes_.get(); }
    [[nodiscard]] std::size_t capacity() const { return capacity_; }

   private:
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t capacity_ = 0;
  };

  /// Where bytes are put as they arrive.
  struct Hold {
    ReceiveBuffer buffer;
    std::shared_ptr<std::byte[]> docked;  ///< instead of the buffer
    std::size_t size = 0;
    std::size_t placed = 0;  ///< bytes for which a receive was started

    [[nodiscard]] std::byte* data() const { return docked ? docked.get() : buffer.data(); }
    [[nodiscard]] bool is_full() const { return placed == size; }
  };

  struct Incoming {
    int source = 0;
    Hold message;
    Hold cargo;
    std::vector<MPI_Request> requests;
  };

  static void leave_to_mpi(Incoming& incoming);
  bool match_one(const Receiver& receive, bool& delivered);
  void drop(MPI_Message& matched, int source, std::size_t size);
  bool probe(MPI_Message& matched, MPI_Status& status) const;
  void receive_whole(MPI_Message& matched, int source, std::size_t size, const Receiver& receive, bool& delivered);
  MPI_Request start_part(MPI_Message& matched, int source, Hold& hold, std::size_t size) const;
  bool start_receive(MPI_Message& matched, Incoming& incoming) const;
  void receive_header(MPI_Message& matched, int source, std::size_t size);
  void receive_part(MPI_Message& matched, int source, std::size_t size);
  bool deliver_completed(const Receiver& receive);
  bool is_complete(Incoming& incoming) const;
  void deliver(Incoming&& incoming, const Receiver& receive);
  [[nodiscard]] bool waits_for(int source) const;
  Hold hold(std::size_t size);
  Hold hold_for_cargo(std::size_t size);
  void recycle(ReceiveBuffer&& buffer);
  [[nodiscard]] std::runtime_error protocol_error(int source, const std::string& what) const;

  const Link& link_;
  Dock dock_;
  std::set<int> given_up_;
  std::list<Incoming> incoming_;  ///< in the order they were matched
  std::vector<ReceiveBuffer> spare_;
};

}  // namespace rankpool::transport
