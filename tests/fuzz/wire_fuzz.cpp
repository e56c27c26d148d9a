// What comes by MPI: any bytes are refused, or are messages that become the same bytes again. Of those messages a
// leader's table takes only lots whose tasks lie in their memory, and the scheduler believes only reports of tasks that
// are out.
#include <optional>
#include <type_traits>
#include <variant>
#include <vector>

#include "fuzz/outstanding_tasks.hpp"
#include "fuzz/pretended_host.hpp"
#include "fuzz/target.hpp"
#include "wire/codec.hpp"
#include "worker/lot_table.hpp"

namespace {

using namespace rankpool;  // NOLINT(google-build-using-namespace)
using fuzz::require;

/// A leader, as far as it looks at what the master orders.
class Leader {
 public:
  void operator()(const wire::OpenCall& order) {
    lots_.open_call(order.call, order.input_stride);
    stride_[order.call] = order.input_stride;
  }
  void operator()(const wire::CloseCall& order) { lots_.close_call(order.call); }
  void operator()(const wire::RunLot& order) {
    const host::Lot lot = lots_.admit(order);
    require(lots_.contains(lot.id), "a lot that was taken is there");
    host_.read_inputs(lot, stride_.at(lot.call));
  }
  void operator()(const wire::RetractLot& order) {
    if (!lots_.contains(order.lot)) return;
    lots_.account(order.lot, ~std::uint64_t{0});
    require(!lots_.contains(order.lot), "a lot whose tasks have all ended is gone");
    lots_.release_ended();
  }
  void operator()(const wire::StopCall&) {}
  void operator()(const wire::Answer&) {}
  void operator()(const wire::Stop&) {}

 private:
  fuzz::PretendedHost host_;
  worker::LotTable lots_{host_};
  std::map<host::CallId, std::uint64_t> stride_;
};

/// A master, as far as it looks at what leaders report.
class Master {
 public:
  void operator()(const wire::Results& m) { tasks_.done(m.lot, {m.first, m.count}, m.nanoseconds); }
  void operator()(const wire::TaskFailed& m) { tasks_.done(m.lot, {m.task, 1}, m.nanoseconds); }
  void operator()(const wire::TaskDied& m) { tasks_.died(m.lot, m.task); }
  void operator()(const wire::TasksReturned& m) { tasks_.returned(m.lot, {m.first, m.count}); }
  void operator()(const wire::Retracted& m) { tasks_.returned(m.lot, {0, 0}); }
  template <class Message>
  void operator()(const Message&) {}

 private:
  fuzz::OutstandingTasks tasks_;
};

/// Whether the message's payload is what came beside it.
template <class Message>
bool payload_is(fuzz::Bytes beside, const Message& message) {
  if constexpr (requires { message.inputs; }) return message.inputs.data() == beside.data();
  if constexpr (requires { message.encoded; }) return message.encoded.data() == beside.data();
  return false;
}

template <class Message>
void encode_again(std::vector<std::byte>& to, const Message& message, bool beside) {
  if constexpr (requires { wire::encode_but_payload(to, message); }) {
    if (beside) return wire::encode_but_payload(to, message);
  }
  wire::encode(to, message);
}

template <class Visitor>
void obey_all(fuzz::Bytes message, fuzz::Bytes beside, auto decode, Visitor visitor) {
  while (!message.empty()) {
    const fuzz::Bytes before = message;
    const auto decoded = decode(message, beside);
    require(message.size() < before.size(), "every message takes bytes");
    const fuzz::Bytes frame = before.first(before.size() - message.size());
    std::vector<std::byte> again;
    std::visit([&](const auto& it) { encode_again(again, it, payload_is(beside, it)); }, decoded);
    require(std::ranges::equal(frame, again), "a message becomes the bytes again that it came as");
    std::visit(visitor, decoded);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes input = std::as_bytes(std::span(data, size));
  const auto receiver = fuzz::take<fuzz::Receiver>(input);
  static const std::vector<std::byte> beside(fuzz::beside_bytes);
  try {
    if (receiver == fuzz::Receiver::leader) {
      Leader leader;
      obey_all(input, beside, wire::decode_for_leader, std::ref(leader));
    } else {
      Master master;
      obey_all(input, beside, wire::decode_for_master, std::ref(master));
    }
  } catch (const wire::Malformed&) {
  }
  return 0;
}
