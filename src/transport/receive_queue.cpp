#include "transport/receive_queue.hpp"

#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>

namespace rankpool::transport {
namespace {

// Messages received by one poll: the caller has other things to look at.
constexpr int receives_per_poll = 256;

}  // namespace

ReceiveQueue::~ReceiveQueue() {
  for (Incoming& incoming : incoming_) leave_to_mpi(incoming);
}

// MPI may still write to the memory of what has not completed, for it cannot be called back.
void ReceiveQueue::leave_to_mpi(Incoming& incoming) {
  if (!incoming.requests.empty()) new (std::nothrow) Incoming(std::move(incoming));
}

bool ReceiveQueue::poll(const Receiver& receive) {
  bool any = false;
  for (int i = 0; i < receives_per_poll && match_one(receive, any); ++i) {
  }
  return deliver_completed(receive) || any;
}

void ReceiveQueue::give_up(int peer) {
  given_up_.insert(peer);
  std::erase_if(incoming_, [peer](Incoming& incoming) {
    if (incoming.source == peer) leave_to_mpi(incoming);
    return incoming.source == peer;
  });
}

// Matches a message that has arrived and starts to receive it. @returns false when there was none.
bool ReceiveQueue::match_one(const Receiver& receive, bool& delivered) {
  MPI_Message matched = MPI_MESSAGE_NULL;
  MPI_Status status{};
  if (!probe(matched, status)) return false;
  int size = 0;
  link_.check(MPI_Get_count(&status, MPI_BYTE, &size), "MPI_Get_count", status.MPI_SOURCE);
  const auto bytes = static_cast<std::size_t>(size);
  if (given_up_.contains(status.MPI_SOURCE)) {
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
void ReceiveQueue::drop(MPI_Message& matched, int source, std::size_t size) {
  Incoming unwanted{.source = source, .message = hold(size), .cargo = {}, .requests = {}};
  start_receive(matched, unwanted);
  leave_to_mpi(unwanted);
}

// One call of Improbe makes MPI look at its channels, but only the next one sees what that brought.
bool ReceiveQueue::probe(MPI_Message& matched, MPI_Status& status) const {
  for (int look = 0; look < 2; ++look) {
    int found = 0;
    link_.check(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, link_.raw(), &found, &matched, &status), "MPI_Improbe",
                link_.rank());
    if (found != 0) return true;
  }
  return false;
}

void ReceiveQueue::receive_whole(MPI_Message& matched, int source, std::size_t size, const Receiver& receive,
                                 bool& delivered) {
  Incoming incoming{.source = source, .message = hold(size), .cargo = {}, .requests = {}};
  if (start_receive(matched, incoming) && !waits_for(source)) {
    delivered = true;
    deliver(std::move(incoming), receive);
  } else {
    incoming_.push_back(std::move(incoming));
  }
}

MPI_Request ReceiveQueue::start_part(MPI_Message& matched, int source, Hold& hold, std::size_t size) const {
  MPI_Request request = MPI_REQUEST_NULL;
  link_.check(MPI_Imrecv(hold.data() + hold.placed, static_cast<int>(size), MPI_BYTE, &matched, &request), "MPI_Imrecv",
              source);
  hold.placed += size;
  return request;
}

// @returns whether all has been received at once, as small messages are.
bool ReceiveQueue::start_receive(MPI_Message& matched, Incoming& incoming) const {
  MPI_Request request = start_part(matched, incoming.source, incoming.message, incoming.message.size);
  int done = 0;
  link_.check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test", incoming.source);
  if (done == 0) incoming.requests.push_back(request);
  return done != 0;
}

void ReceiveQueue::receive_header(MPI_Message& matched, int source, std::size_t size) {
  Header header;
  if (size != sizeof header) throw protocol_error(source, "a header of " + std::to_string(size) + " bytes");
  link_.check(MPI_Mrecv(&header, sizeof header, MPI_BYTE, &matched, MPI_STATUS_IGNORE), "MPI_Mrecv", source);
  Incoming incoming{
      .source = source, .message = hold(header.message), .cargo = hold_for_cargo(header.cargo), .requests = {}};
  incoming_.push_back(std::move(incoming));
}

void ReceiveQueue::receive_part(MPI_Message& matched, int source, std::size_t size) {
  const auto last = std::find_if(incoming_.rbegin(), incoming_.rend(),
                                 [source](const Incoming& incoming) { return incoming.source == source; });
  if (last == incoming_.rend()) throw protocol_error(source, "a part that belongs to no message");
  Hold& hold = last->message.is_full() ? last->cargo : last->message;
  if (size > hold.size - hold.placed) throw protocol_error(source, "a part that is too long");
  last->requests.push_back(MPI_REQUEST_NULL);  // before it starts: what is received must not be lost sight of
  last->requests.back() = start_part(matched, source, hold, size);
}

// Delivers, source by source, what is complete and has nothing incomplete before it.
bool ReceiveQueue::deliver_completed(const Receiver& receive) {
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

bool ReceiveQueue::is_complete(Incoming& incoming) const {
  if (!incoming.requests.empty()) {
    int done = 0;
    link_.check(
        MPI_Testall(static_cast<int>(incoming.requests.size()), incoming.requests.data(), &done, MPI_STATUSES_IGNORE),
        "MPI_Testall", incoming.source);
    if (done == 0) return false;
    incoming.requests.clear();
  }
  return incoming.message.is_full() && incoming.cargo.is_full();
}

void ReceiveQueue::deliver(Incoming&& incoming, const Receiver& receive) {
  const Hold& cargo = incoming.cargo;
  receive(incoming.source, {incoming.message.data(), incoming.message.size},
          {.bytes = {cargo.data(), cargo.size}, .owner = cargo.docked});
  recycle(std::move(incoming.message.buffer));
  recycle(std::move(incoming.cargo.buffer));
}

void ReceiveQueue::recycle(ReceiveBuffer&& buffer) {
  if (buffer.capacity() == 0 || buffer.capacity() > kept_buffer_bytes || spare_.size() >= kept_buffers) return;
  spare_.push_back(std::move(buffer));
}

bool ReceiveQueue::waits_for(int source) const {
  return std::any_of(incoming_.begin(), incoming_.end(),
                     [source](const Incoming& incoming) { return incoming.source == source; });
}

ReceiveQueue::Hold ReceiveQueue::hold(std::size_t size) {
  constexpr std::size_t smallest = 4096;
  Hold hold;
  hold.size = size;
  const auto fitting =
      std::find_if(spare_.rbegin(), spare_.rend(), [size](const ReceiveBuffer& b) { return b.capacity() >= size; });
  if (fitting == spare_.rend()) {
    hold.buffer = ReceiveBuffer(std::max(size, smallest));
  } else {
    hold.buffer = std::move(*fitting);
    *fitting = std::move(spare_.back());
    spare_.pop_back();
  }
  return hold;
}

ReceiveQueue::Hold ReceiveQueue::hold_for_cargo(std::size_t size) {
  Hold cargo;
  if (size == 0) return cargo;
  if (dock_) cargo.docked = dock_(size);
  if (!cargo.docked) return hold(size);
  cargo.size = size;
  return cargo;
}

std::runtime_error ReceiveQueue::protocol_error(int source, const std::string& what) const {
  return std::runtime_error("rank " + std::to_string(link_.rank()) + " received from rank " + std::to_string(source) +
                            " " + what + ": do all ranks run the same program?");
}

}  // namespace rankpool::transport
