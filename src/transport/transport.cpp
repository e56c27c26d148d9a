#include "transport/transport.hpp"

#include <thread>
#include <utility>

#include "transport/backoff.hpp"
#include "transport/link.hpp"
#include "transport/receive_queue.hpp"
#include "transport/send_queue.hpp"

namespace rankpool::transport {

struct Transport::Implementation {
  Implementation(const boost::mpi::communicator& communicator, TransportLimits limits)
      : link(communicator), sending(link, limits), receiving(link) {}

  Link link;
  SendQueue sending;
  ReceiveQueue receiving;
};

Transport::Transport(const boost::mpi::communicator& communicator, TransportLimits limits)
    : implementation_(std::make_unique<Implementation>(communicator, limits)) {}
Transport::~Transport() = default;

int Transport::rank() const { return implementation_->link.rank(); }
int Transport::size() const { return implementation_->link.size(); }
void Transport::send(int peer, std::vector<std::byte>&& message, Cargo cargo) {
  implementation_->sending.send(peer, std::move(message), std::move(cargo));
}
std::vector<std::byte> Transport::buffer() { return implementation_->sending.buffer(); }
void Transport::progress() { implementation_->sending.progress(); }
bool Transport::all_sent() const { return implementation_->sending.all_sent(); }
std::uint64_t Transport::bytes_under_way() const { return implementation_->sending.bytes_under_way(); }
bool Transport::is_given_up(int peer) const { return implementation_->sending.is_given_up(peer); }

void Transport::set_dock(Dock dock) { implementation_->receiving.set_dock(std::move(dock)); }

bool Transport::poll(const Receiver& receive) {
  progress();
  return implementation_->receiving.poll(receive);
}

void Transport::give_up(int peer) {
  implementation_->sending.give_up(peer);
  implementation_->receiving.give_up(peer);
}

bool Transport::flush(std::chrono::nanoseconds limit) {
  const auto deadline = Backoff::Clock::now() + limit;
  for (Backoff backoff; !all_sent();) {
    progress();
    if (all_sent()) break;
    if (Backoff::Clock::now() >= deadline) return false;
    if (const auto sleep = backoff.next(); sleep.count() > 0) std::this_thread::sleep_for(sleep);
  }
  return true;
}

}  // namespace rankpool::transport
