// Messages to bytes and back. A transport message is a sequence of frames, each {type, mark, length of the body, body}.
#pragma once

#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "wire/messages.hpp"

namespace rankpool::wire {

/// What was received is no message: truncated, too long, or nonsense.
class Malformed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Appends one frame to `to`.
void encode(std::vector<std::byte>& to, const OpenCall& message);
void encode(std::vector<std::byte>& to, const CloseCall& message);
void encode(std::vector<std::byte>& to, const StopCall& message);
void encode(std::vector<std::byte>& to, const RunLot& message);
void encode(std::vector<std::byte>& to, const RetractLot& message);
void encode(std::vector<std::byte>& to, const Answer& message);
void encode(std::vector<std::byte>& to, const Stop& message);
void encode(std::vector<std::byte>& to, const Results& message);
void encode(std::vector<std::byte>& to, const TaskFailed& message);
void encode(std::vector<std::byte>& to, const TaskDied& message);
void encode(std::vector<std::byte>& to, const TasksReturned& message);
void encode(std::vector<std::byte>& to, const Retracted& message);
void encode(std::vector<std::byte>& to, const InitializerFailed& message);
void encode(std::vector<std::byte>& to, const Executors& message);
void encode(std::vector<std::byte>& to, const RankLost& message);
void encode(std::vector<std::byte>& to, const Question& message);
void encode(std::vector<std::byte>& to, const ExecutorGone& message);
void encode(std::vector<std::byte>& to, const Blocked& message);
void encode(std::vector<std::byte>& to, const Broken& message);
void encode(std::vector<std::byte>& to, const Stopped& message);

/// The part of a message that may travel beside the transport message.
inline Bytes payload_of(const RunLot& message) { return message.inputs; }
inline Bytes payload_of(const Results& message) { return message.encoded; }

/// As encode(), but for that part. A transport message should hold one such frame only, as its last: the decoder takes
/// what comes beside for that of each.
void encode_but_payload(std::vector<std::byte>& to, const RunLot& message);
void encode_but_payload(std::vector<std::byte>& to, const Results& message);

/// Bytes of a message that are no numbers, which decide whether it is worth batching.
template <class Message>
std::size_t payload_size(const Message&) {
  return 0;
}
inline std::size_t payload_size(const OpenCall& message) { return message.callable.size(); }
inline std::size_t payload_size(const RunLot& message) { return message.inputs.size() + message.offsets.raw().size(); }
inline std::size_t payload_size(const Results& message) { return message.encoded.size(); }
inline std::size_t payload_size(const TaskFailed& message) { return message.image.size(); }
inline std::size_t payload_size(const InitializerFailed& message) { return message.image.size(); }
inline std::size_t payload_size(const Question& message) { return message.bytes.size(); }
inline std::size_t payload_size(const Answer& message) { return message.bytes.size(); }

/// Takes the first frame off `rest`. @param beside what came beside the transport message. @throws Malformed
ToLeader decode_for_leader(Bytes& rest, Bytes beside = {});
ToMaster decode_for_master(Bytes& rest, Bytes beside = {});

/// Calls `visitor` with each message of a transport message, in order. @throws Malformed after the good ones.
template <class Visitor>
void for_each_to_leader(Bytes message, Bytes beside, Visitor&& visitor) {
  while (!message.empty()) std::visit(visitor, decode_for_leader(message, beside));
}

template <class Visitor>
void for_each_to_master(Bytes message, Bytes beside, Visitor&& visitor) {
  while (!message.empty()) std::visit(visitor, decode_for_master(message, beside));
}

}  // namespace rankpool::wire
