#include "worker/lot_table.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "host/channel.hpp"
#include "wire/codec.hpp"

namespace rankpool::worker {
namespace {

using wire::Malformed;

// The data begins on a cache line, behind the table of offsets.
constexpr std::size_t alignment = 64;

void check_inputs(const wire::RunLot& lot, std::uint64_t stride) {
  const std::string name = "lot " + std::to_string(lot.lot);
  if (stride == detail::variable_stride) {
    if (lot.offsets.empty()) throw Malformed(name + " has no offsets, though its call needs them");
    return;
  }
  if (!lot.offsets.empty()) throw Malformed(name + " has offsets, though its call has a fixed stride");
  const bool fits =
      stride == 0 ? lot.inputs.empty() : lot.inputs.size() % stride == 0 && lot.inputs.size() / stride == lot.count;
  if (!fits) {
    throw Malformed(name + " has " + std::to_string(lot.inputs.size()) + " bytes for " + std::to_string(lot.count) +
                    " tasks of " + std::to_string(stride) + " bytes");
  }
}

}  // namespace

void LotTable::open_call(host::CallId call, std::uint64_t input_stride) {
  if (!strides_.emplace(call, input_stride).second) throw Malformed("call " + std::to_string(call) + " came twice");
}

void LotTable::close_call(host::CallId call) { strides_.erase(call); }

host::Lot LotTable::admit(const wire::RunLot& message) {
  const auto stride = strides_.find(message.call);
  if (stride == strides_.end()) {
    throw Malformed("lot " + std::to_string(message.lot) + " belongs to call " + std::to_string(message.call) +
                    ", which is not open here");
  }
  if (contains(message.lot)) throw Malformed("lot " + std::to_string(message.lot) + " came twice");
  if (message.count >= host::ClaimWord::closed) {
    throw Malformed("lot " + std::to_string(message.lot) + " is said to have " + std::to_string(message.count) +
                    " tasks");
  }
  check_inputs(message, stride->second);
  Entry entry{.tasks_left = message.count};
  host::Lot lot;
  lot.id = message.lot;
  lot.call = message.call;
  lot.piece = store(message, entry);
  lot.first = message.first;
  lot.count = message.count;
  lot.attempt = message.attempt;
  lot.executors = message.executors;
  lot.total = message.total;
  open_.emplace(message.lot, entry);
  return lot;
}

host::Piece LotTable::store(const wire::RunLot& message, Entry& entry) {
  host::Piece piece{.data = 0, .offsets = 0, .first = message.first, .count = message.count};
  const detail::Bytes table = message.offsets.raw();
  const std::size_t data_at = (table.size() + alignment - 1) / alignment * alignment;
  if (data_at + message.inputs.size() == 0) return piece;
  entry.memory = host_.allocate(data_at + message.inputs.size());
  entry.holds_memory = true;
  piece.offsets = entry.memory;
  piece.data = entry.memory + data_at;
  if (!table.empty()) std::memcpy(host_.at(piece.offsets), table.data(), table.size());
  if (!message.inputs.empty()) std::memcpy(host_.at(piece.data), message.inputs.data(), message.inputs.size());
  return piece;
}

void LotTable::account(host::LotId lot, std::uint64_t count) {
  const auto found = open_.find(lot);
  if (found == open_.end()) return;
  Entry& entry = found->second;
  entry.tasks_left -= std::min(count, entry.tasks_left);
  if (entry.tasks_left > 0) return;
  if (entry.holds_memory) ended_.push_back(entry.memory);
  open_.erase(found);
}

void LotTable::release_ended() {
  for (const std::uint64_t memory : ended_) host_.release(memory);
  ended_.clear();
}

}  // namespace rankpool::worker
