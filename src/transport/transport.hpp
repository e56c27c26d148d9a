// Messages of any size between the ranks of a communicator, in order per pair of ranks. One thread at a time uses a
// transport.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace boost::mpi {
class communicator;
}

namespace rankpool::transport {

struct TransportLimits {
  /// MPI counts in int, and some of its layers mishandle more than 1 GiB: larger messages travel in parts.
  std::size_t part_bytes = std::size_t{1} << 30;
  /// MPI sends to one peer at a time; more wait here. A peer that stops receiving must not exhaust MPI's resources.
  std::size_t sends_per_peer = 16;
};

/// Bytes that travel beside a message: from where they lie to where they are wanted, without another copy.
struct Cargo {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;  ///< while it lives they stay as they are
};

class Transport {
 public:
  /// Called with the source, the message and its cargo, if any; the bytes live until it returns, those of the cargo as
  /// long as its owner if it has one. It may send.
  using Receiver = std::function<void(int source, std::span<const std::byte> message, const Cargo& cargo)>;
  /// Memory in which cargo is wanted, of at least so many bytes; null: the transport's own will do, which has no owner.
  using Dock = std::function<std::shared_ptr<std::byte[]>(std::size_t bytes)>;

  /// With only MPI_THREAD_SINGLE or _FUNNELED, all members must be called from the thread that initialised MPI.
  /// @param communicator one on which nobody else sends to single ranks while this lives, and whose errors are then no
  /// aborts.
  explicit Transport(const boost::mpi::communicator& communicator, TransportLimits limits = {});
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  [[nodiscard]] int rank() const;
  [[nodiscard]] int size() const;

  /// Starts sending; returns at once. @throws std::runtime_error naming both ranks if MPI reports an error, as do all
  /// functions here.
  /// @param cargo its owner is let go of when all is sent, and never if MPI might still read the bytes.
  void send(int peer, std::vector<std::byte>&& message, Cargo cargo = {});
  /// An empty vector, with a used one's memory where there is one.
  [[nodiscard]] std::vector<std::byte> buffer();

  /// Where cargo that arrives from now on is put. The memory is let go of as the owner of what is sent.
  void set_dock(Dock dock);

  /// Receives what has arrived, and pushes what is being sent. Not from inside `receive`.
  /// @returns whether anything was received.
  bool poll(const Receiver& receive);
  /// Pushes what is being sent.
  void progress();
  /// Of messages to peers that were not given up.
  [[nodiscard]] bool all_sent() const;
  /// Of messages that MPI has taken and not yet sent; one that it moves in parts counts once for each.
  [[nodiscard]] std::uint64_t bytes_under_way() const;

  /// The peer is dead: what is on its way to or from it is left to MPI, nothing is sent any more, and what still
  /// arrives is dropped. Not from inside `receive`.
  void give_up(int peer);
  [[nodiscard]] bool is_given_up(int peer) const;
  /// Waits until all is sent: the peers must be receiving. @returns false if `limit` passes first.
  bool flush(std::chrono::nanoseconds limit);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace rankpool::transport
