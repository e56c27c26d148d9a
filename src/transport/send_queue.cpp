#include "transport/send_queue.hpp"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace rankpool::transport {

SendQueue::SendQueue(const Link& link, TransportLimits limits)
    : link_(link), limits_(limits), peers_(static_cast<std::size_t>(link.size())) {
  if (limits_.part_bytes == 0 || limits_.sends_per_peer == 0) throw std::invalid_argument("a limit of 0");
}

SendQueue::~SendQueue() {
  for (Send& send : sends_) leave_to_mpi(send);
}

// MPI may still read the memory of what has not completed, for it cannot be called back.
void SendQueue::leave_to_mpi(Send& send) { new (std::nothrow) std::shared_ptr<Outgoing>(std::move(send.message)); }

void SendQueue::send(int peer, std::vector<std::byte>&& message, Cargo cargo) {
  if (peer < 0 || peer >= link_.size()) throw std::invalid_argument("no rank " + std::to_string(peer));
  if (is_given_up(peer)) return;
  auto outgoing = std::make_shared<Outgoing>();
  outgoing->header = {.message = message.size(), .cargo = cargo.bytes.size()};
  outgoing->bytes = std::move(message);
  outgoing->cargo = std::move(cargo);
  peers_[static_cast<std::size_t>(peer)].waiting.push_back(std::move(outgoing));
  post(peer);
}

std::vector<std::byte> SendQueue::buffer() {
  if (spare_.empty()) return {};
  std::vector<std::byte> taken = std::move(spare_.back());
  spare_.pop_back();
  return taken;
}

void SendQueue::progress() {
  if (requests_.empty()) return;
  completed_.resize(requests_.size());
  int count = 0;
  const int error = MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count, completed_.data(),
                                 MPI_STATUSES_IGNORE);
  link_.check(error, "MPI_Testsome", sends_.front().peer);
  if (count == MPI_UNDEFINED || count == 0) return;
  std::sort(completed_.begin(), completed_.begin() + count);
  std::vector<int> peers;
  for (int i = count; i-- > 0;) {  // from the back, as removing moves the last one into the gap
    const auto at = static_cast<std::size_t>(completed_[static_cast<std::size_t>(i)]);
    peers.push_back(sends_[at].peer);
    finish_send(at);
  }
  for (const int peer : peers) post(peer);
}

std::uint64_t SendQueue::bytes_under_way() const {
  std::uint64_t bytes = 0;
  for (const Send& send : sends_) bytes += send.message->header.message + send.message->header.cargo;
  return bytes;
}

void SendQueue::give_up(int peer) {
  Peer& lost = peers_[static_cast<std::size_t>(peer)];
  lost.given_up = true;
  lost.waiting.clear();
  for (std::size_t at = sends_.size(); at-- > 0;) {
    if (sends_[at].peer != peer) continue;
    leave_to_mpi(sends_[at]);
    remove_send(at);
  }
}

void SendQueue::post(int peer) {
  Peer& state = peers_[static_cast<std::size_t>(peer)];
  while (!state.waiting.empty() && state.sends < limits_.sends_per_peer) {
    const std::shared_ptr<Outgoing> message = state.waiting.front();
    post_next(peer, message);
    if (message->next == Outgoing::Next::nothing) state.waiting.pop_front();
  }
}

bool SendQueue::travels_whole(const Outgoing& message) const {
  return message.header.message <= limits_.part_bytes && message.header.cargo == 0;
}

void SendQueue::post_next(int peer, const std::shared_ptr<Outgoing>& message) {
  using Next = Outgoing::Next;
  switch (message->next) {
    case Next::header:
      if (travels_whole(*message)) {
        message->next = Next::nothing;
        return isend(peer, message, message->bytes.data(), message->bytes.size(), tag_whole);
      }
      message->next = message->bytes.empty() ? Next::cargo : Next::message;
      return isend(peer, message, &message->header, sizeof message->header, tag_header);
    case Next::message:
      return post_part(peer, message, message->bytes, message->header.cargo == 0 ? Next::nothing : Next::cargo);
    case Next::cargo:
      return post_part(peer, message, message->cargo.bytes, Next::nothing);
    case Next::nothing:
      return;
  }
}

void SendQueue::post_part(int peer, const std::shared_ptr<Outgoing>& message, std::span<const std::byte> bytes,
                          Outgoing::Next after) {
  const std::span<const std::byte> rest = bytes.subspan(message->posted);
  const std::size_t part = std::min(limits_.part_bytes, rest.size());
  message->posted += part;
  if (part == rest.size()) {
    message->next = after;
    message->posted = 0;
  }
  isend(peer, message, rest.data(), part, tag_part);
}

void SendQueue::isend(int peer, const std::shared_ptr<Outgoing>& message, const void* data, std::size_t size, Tag tag) {
  requests_.push_back(MPI_REQUEST_NULL);
  sends_.push_back({.peer = peer, .message = message});
  link_.check(MPI_Isend(data, static_cast<int>(size), MPI_BYTE, peer, tag, link_.raw(), &requests_.back()), "MPI_Isend",
              peer);
  ++peers_[static_cast<std::size_t>(peer)].sends;
  int done = 0;  // small messages are done at once
  link_.check(MPI_Test(&requests_.back(), &done, MPI_STATUS_IGNORE), "MPI_Test", peer);
  if (done != 0) finish_send(requests_.size() - 1);
}

void SendQueue::finish_send(std::size_t at) {
  --peers_[static_cast<std::size_t>(sends_[at].peer)].sends;
  const std::shared_ptr<Outgoing> message = std::move(sends_[at].message);
  remove_send(at);
  const bool was_last = message->next == Outgoing::Next::nothing && message.use_count() == 1;
  if (was_last || travels_whole(*message)) recycle(std::move(message->bytes));
}

void SendQueue::remove_send(std::size_t at) {
  sends_[at] = std::move(sends_.back());
  sends_.pop_back();
  requests_[at] = requests_.back();
  requests_.pop_back();
}

void SendQueue::recycle(std::vector<std::byte>&& bytes) {
  if (spare_.size() >= kept_buffers || bytes.capacity() > kept_buffer_bytes) return;
  bytes.clear();
  spare_.push_back(std::move(bytes));
}

}  // namespace rankpool::transport
