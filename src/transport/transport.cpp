#include "transport/transport.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <list>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <mpi.h>
#include <boost/mpi/communicator.hpp>
#include <boost/mpi/exception.hpp>

#include "transport/backoff.hpp"

namespace rankpool::transport {
namespace {

// A message up to the part size travels whole; a longer one as a header (its size) and parts, which MPI keeps in order.
enum Tag : int { tag_whole = 1, tag_header, tag_part };

// Reused buffers stay within these bounds, so that one large call does not hold its memory for ever.
constexpr std::size_t kept_buffers = 32;
constexpr std::size_t kept_buffer_bytes = std::size_t{4} << 20;

// Messages received by one poll: the caller has other things to look at.
constexpr int receives_per_poll = 256;

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

struct Outgoing {
  std::vector<std::byte> bytes;
  std::uint64_t size = 0;  ///< of the whole message; `bytes` may be recycled once they are sent
  std::size_t posted = 0;  ///< bytes given to MPI
  bool header_posted = false;

  [[nodiscard]] bool all_posted(std::size_t part_bytes) const {
    return posted == size && (size <= part_bytes || header_posted);
  }
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

struct Incoming {
  int source = 0;
  ReceiveBuffer buffer;
  std::size_t size = 0;
  std::size_t placed = 0;  ///< bytes for which a receive was started
  std::vector<MPI_Request> requests;
};

}  // namespace

class Transport::Implementation {
 public:
  Implementation(const boost::mpi::communicator& communicator, TransportLimits limits)
      : communicator_(communicator, boost::mpi::comm_duplicate),
        comm_(communicator_),
        rank_(communicator_.rank()),
        limits_(limits),
        peers_(static_cast<std::size_t>(communicator_.size())) {
    if (limits_.part_bytes == 0 || limits_.sends_per_peer == 0) throw std::invalid_argument("a limit of 0");
    check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", rank_);
  }

  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  ~Implementation() {
    for (Send& send : sends_) leave_to_mpi(send);
    for (Incoming& incoming : incoming_) leave_to_mpi(incoming);
  }

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return static_cast<int>(peers_.size()); }
  [[nodiscard]] bool all_sent() const { return requests_.empty(); }

  void send(int peer, std::vector<std::byte>&& message) {
    if (peer < 0 || peer >= size()) throw std::invalid_argument("no rank " + std::to_string(peer));
    if (is_given_up(peer)) return;
    auto outgoing = std::make_shared<Outgoing>();
    outgoing->size = message.size();
    outgoing->bytes = std::move(message);
    peers_[static_cast<std::size_t>(peer)].waiting.push_back(std::move(outgoing));
    post(peer);
  }

  std::vector<std::byte> buffer() {
    if (spare_.empty()) return {};
    std::vector<std::byte> taken = std::move(spare_.back());
    spare_.pop_back();
    return taken;
  }

  void progress() {
    if (requests_.empty()) return;
    completed_.resize(requests_.size());
    int count = 0;
    const int error = MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count, completed_.data(),
                                   MPI_STATUSES_IGNORE);
    check(error, "MPI_Testsome", sends_.front().peer);
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

  [[nodiscard]] bool is_given_up(int peer) const { return peers_[static_cast<std::size_t>(peer)].given_up; }

  void give_up(int peer) {
    Peer& lost = peers_[static_cast<std::size_t>(peer)];
    lost.given_up = true;
    lost.waiting.clear();
    for (std::size_t at = sends_.size(); at-- > 0;) {
      if (sends_[at].peer != peer) continue;
      leave_to_mpi(sends_[at]);
      remove_send(at);
    }
    std::erase_if(incoming_, [peer](Incoming& incoming) {
      if (incoming.source == peer) leave_to_mpi(incoming);
      return incoming.source == peer;
    });
  }

  bool poll(const Receiver& receive) {
    progress();
    bool any = false;
    for (int i = 0; i < receives_per_poll && match_one(receive, any); ++i) {
    }
    return deliver_completed(receive) || any;
  }

 private:
  void check(int error, const char* what, int peer) const {
    if (error == MPI_SUCCESS) return;
    throw std::runtime_error("MPI failed between rank " + std::to_string(rank_) + " and rank " + std::to_string(peer) +
                             ": " + boost::mpi::exception(what, error).what());
  }

  // MPI may still read or write the memory of what has not completed, for it cannot be called back.
  static void leave_to_mpi(Send& send) { new (std::nothrow) std::shared_ptr<Outgoing>(std::move(send.message)); }
  static void leave_to_mpi(Incoming& incoming) {
    if (!incoming.requests.empty()) new (std::nothrow) ReceiveBuffer(std::move(incoming.buffer));
  }

  // --- sending ---

  void post(int peer) {
    Peer& state = peers_[static_cast<std::size_t>(peer)];
    while (!state.waiting.empty() && state.sends < limits_.sends_per_peer) {
      const std::shared_ptr<Outgoing> message = state.waiting.front();
      post_part(peer, message);
      if (message->all_posted(limits_.part_bytes)) state.waiting.pop_front();
    }
  }

  void post_part(int peer, const std::shared_ptr<Outgoing>& message) {
    const std::size_t size = message->size;
    if (size <= limits_.part_bytes) {
      message->posted = size;
      return isend(peer, message, message->bytes.data(), size, tag_whole);
    }
    if (!message->header_posted) {
      message->header_posted = true;
      return isend(peer, message, &message->size, sizeof message->size, tag_header);
    }
    const std::size_t start = message->posted;
    const std::size_t part = std::min(limits_.part_bytes, size - start);
    message->posted += part;
    isend(peer, message, message->bytes.data() + start, part, tag_part);
  }

  void isend(int peer, const std::shared_ptr<Outgoing>& message, const void* data, std::size_t size, Tag tag) {
    requests_.push_back(MPI_REQUEST_NULL);
    sends_.push_back({.peer = peer, .message = message});
    check(MPI_Isend(data, static_cast<int>(size), MPI_BYTE, peer, tag, comm_, &requests_.back()), "MPI_Isend", peer);
    ++peers_[static_cast<std::size_t>(peer)].sends;
    int done = 0;  // small messages are done at once
    check(MPI_Test(&requests_.back(), &done, MPI_STATUS_IGNORE), "MPI_Test", peer);
    if (done != 0) finish_send(requests_.size() - 1);
  }

  void finish_send(std::size_t at) {
    --peers_[static_cast<std::size_t>(sends_[at].peer)].sends;
    const std::shared_ptr<Outgoing> message = std::move(sends_[at].message);
    remove_send(at);
    if (message->size <= limits_.part_bytes) recycle(std::move(message->bytes));
  }

  void remove_send(std::size_t at) {
    sends_[at] = std::move(sends_.back());
    sends_.pop_back();
    requests_[at] = requests_.back();
    requests_.pop_back();
  }

  void recycle(std::vector<std::byte>&& bytes) {
    if (spare_.size() >= kept_buffers || bytes.capacity() > kept_buffer_bytes) return;
    bytes.clear();
    spare_.push_back(std::move(bytes));
  }

  // --- receiving ---

  // Matches a message that has arrived and starts to receive it. @returns false when there was none.
  bool match_one(const Receiver& receive, bool& delivered) {
    MPI_Message matched = MPI_MESSAGE_NULL;
    MPI_Status status{};
    if (!probe(matched, status)) return false;
    int size = 0;
    check(MPI_Get_count(&status, MPI_BYTE, &size), "MPI_Get_count", status.MPI_SOURCE);
    const auto bytes = static_cast<std::size_t>(size);
    if (is_given_up(status.MPI_SOURCE)) {
      drop(matched, status.MPI_SOURCE, bytes);
      return true;
    }
    switch (status.MPI_TAG) {
      case tag_whole:
        receive_whole(matched, status.MPI_SOURCE, bytes, receive, delivered);
        break;
      case tag_header:
        receive_header(matched, status.MPI_SOURCE, bytes);
        break;
      default:
        receive_part(matched, status.MPI_SOURCE, bytes);
        break;
    }
    return true;
  }

  // What is matched must be received, or it would stay in MPI's queues.
  void drop(MPI_Message& matched, int source, std::size_t size) {
    Incoming unwanted{.source = source, .buffer = receive_buffer(size), .size = size, .placed = size, .requests = {}};
    start_receive(matched, unwanted);
    leave_to_mpi(unwanted);
  }

  // One call of Improbe makes MPI look at its channels, but only the next one sees what that brought.
  bool probe(MPI_Message& matched, MPI_Status& status) const {
    for (int look = 0; look < 2; ++look) {
      int found = 0;
      check(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm_, &found, &matched, &status), "MPI_Improbe", rank_);
      if (found != 0) return true;
    }
    return false;
  }

  void receive_whole(MPI_Message& matched, int source, std::size_t size, const Receiver& receive, bool& delivered) {
    Incoming incoming{.source = source, .buffer = receive_buffer(size), .size = size, .placed = size, .requests = {}};
    if (start_receive(matched, incoming) && !waits_for(source)) {
      delivered = true;
      deliver(std::move(incoming), receive);
    } else {
      incoming_.push_back(std::move(incoming));
    }
  }

  /// @returns whether all has been received at once.
  bool start_receive(MPI_Message& matched, Incoming& incoming) const {
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Imrecv(incoming.buffer.data(), static_cast<int>(incoming.size), MPI_BYTE, &matched, &request),
          "MPI_Imrecv", incoming.source);
    int done = 0;
    check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test", incoming.source);
    if (done == 0) incoming.requests.push_back(request);
    return done != 0;
  }

  void receive_header(MPI_Message& matched, int source, std::size_t size) {
    std::uint64_t total = 0;
    if (size != sizeof total) throw protocol_error(source, "a header of " + std::to_string(size) + " bytes");
    check(MPI_Mrecv(&total, sizeof total, MPI_BYTE, &matched, MPI_STATUS_IGNORE), "MPI_Mrecv", source);
    Incoming& incoming = incoming_.emplace_back();
    incoming.source = source;
    incoming.buffer = receive_buffer(total);
    incoming.size = total;
  }

  void receive_part(MPI_Message& matched, int source, std::size_t size) {
    const auto last = std::find_if(incoming_.rbegin(), incoming_.rend(),
                                   [source](const Incoming& incoming) { return incoming.source == source; });
    if (last == incoming_.rend() || size > last->size - last->placed) {
      throw protocol_error(source, "a part that belongs to no message");
    }
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Imrecv(last->buffer.data() + last->placed, static_cast<int>(size), MPI_BYTE, &matched, &request),
          "MPI_Imrecv", source);
    last->placed += size;
    last->requests.push_back(request);
  }

  // Delivers, source by source, what is complete and has nothing incomplete before it.
  bool deliver_completed(const Receiver& receive) {
    bool any = false;
    std::vector<int> blocked;
    for (auto next = incoming_.begin(); next != incoming_.end();) {
      const auto here = next++;
      const bool complete = is_complete(*here);
      if (std::find(blocked.begin(), blocked.end(), here->source) != blocked.end()) continue;
      if (!complete) {
        blocked.push_back(here->source);
        continue;
      }
      Incoming message = std::move(*here);
      incoming_.erase(here);
      deliver(std::move(message), receive);
      any = true;
    }
    return any;
  }

  bool is_complete(Incoming& incoming) const {
    if (!incoming.requests.empty()) {
      int done = 0;
      check(
          MPI_Testall(static_cast<int>(incoming.requests.size()), incoming.requests.data(), &done, MPI_STATUSES_IGNORE),
          "MPI_Testall", incoming.source);
      if (done == 0) return false;
      incoming.requests.clear();
    }
    return incoming.placed == incoming.size;
  }

  void deliver(Incoming&& incoming, const Receiver& receive) {
    receive(incoming.source, {incoming.buffer.data(), incoming.size});
    if (incoming.buffer.capacity() <= kept_buffer_bytes && spare_received_.size() < kept_buffers) {
      spare_received_.push_back(std::move(incoming.buffer));
    }
  }

  [[nodiscard]] bool waits_for(int source) const {
    return std::any_of(incoming_.begin(), incoming_.end(),
                       [source](const Incoming& incoming) { return incoming.source == source; });
  }

  ReceiveBuffer receive_buffer(std::size_t size) {
    constexpr std::size_t smallest = 4096;
    if (spare_received_.empty() || spare_received_.back().capacity() < size) {
      return ReceiveBuffer(std::max(size, smallest));
    }
    ReceiveBuffer taken = std::move(spare_received_.back());
    spare_received_.pop_back();
    return taken;
  }

  [[nodiscard]] std::runtime_error protocol_error(int source, const std::string& what) const {
    return std::runtime_error("rank " + std::to_string(rank_) + " received from rank " + std::to_string(source) + " " +
                              what + ": do all ranks run the same program?");
  }

  boost::mpi::communicator communicator_;
  MPI_Comm comm_;
  int rank_;
  TransportLimits limits_;
  std::vector<Peer> peers_;
  std::vector<MPI_Request> requests_;  ///< of sends_, in the same order
  std::vector<Send> sends_;
  std::vector<int> completed_;
  std::list<Incoming> incoming_;  ///< in the order they were matched
  std::vector<std::vector<std::byte>> spare_;
  std::vector<ReceiveBuffer> spare_received_;
};

Transport::Transport(const boost::mpi::communicator& communicator, TransportLimits limits)
    : implementation_(std::make_unique<Implementation>(communicator, limits)) {}
Transport::~Transport() = default;

int Transport::rank() const { return implementation_->rank(); }
int Transport::size() const { return implementation_->size(); }
void Transport::send(int peer, std::vector<std::byte>&& message) { implementation_->send(peer, std::move(message)); }
std::vector<std::byte> Transport::buffer() { return implementation_->buffer(); }
bool Transport::poll(const Receiver& receive) { return implementation_->poll(receive); }
void Transport::progress() { implementation_->progress(); }
bool Transport::all_sent() const { return implementation_->all_sent(); }
void Transport::give_up(int peer) { implementation_->give_up(peer); }
bool Transport::is_given_up(int peer) const { return implementation_->is_given_up(peer); }

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
