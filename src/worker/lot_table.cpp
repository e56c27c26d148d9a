#include "worker/lot_table.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

#include "host/channel.hpp"
#include "wire/codec.hpp"

namespace rankpool::worker {
namespace {

using wire::Malformed;

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

struct LotTable::Release {
  std::weak_ptr<host::Host> host;
  std::shared_ptr<const void> memory;  ///< as in Host::hold_memory()
  std::uint64_t offset = 0;

  void operator()(const std::byte*) const {
    if (const auto there = host.lock()) there->release(offset);
  }
};

void LotTable::open_call(host::CallId call, std::uint64_t input_stride) {
  if (!strides_.emplace(call, input_stride).second) throw Malformed("call " + std::to_string(call) + " came twice");
}

void LotTable::close_call(host::CallId call) { strides_.erase(call); }

host::Lot LotTable::admit(const wire::RunLot& message, const std::shared_ptr<const void>& inputs) {
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
  const auto* reserved = std::get_deleter<Release>(inputs);
  Entry entry{.inputs = reserved != nullptr ? Block{inputs, reserved->offset} : store(message.inputs),
              .offsets = store(message.offsets.raw()),
              .tasks_left = message.count};
  host::Lot lot;
  lot.id = message.lot;
  lot.call = message.call;
  lot.piece = {
      .data = entry.inputs.offset, .offsets = entry.offsets.offset, .first = message.first, .count = message.count};
  lot.first = message.first;
  lot.count = message.count;
  lot.attempt = message.attempt;
  lot.executors = message.executors;
  lot.total = message.total;
  open_.emplace(message.lot, std::move(entry));
  return lot;
}

std::shared_ptr<std::byte[]> LotTable::reserve(std::size_t bytes) {
  try {
    return allocate(bytes);
  } catch (const std::system_error&) {
    return nullptr;
  }
}

std::shared_ptr<std::byte[]> LotTable::allocate(std::size_t bytes) {
  const std::uint64_t offset = host_->allocate(bytes);
  return {host_->at(offset), Release{host_, host_->hold_memory(), offset}};
}

LotTable::Block LotTable::store(detail::Bytes bytes) {
  if (bytes.empty()) return {};
  const std::shared_ptr<std::byte[]> memory = allocate(bytes.size());
  std::memcpy(memory.get(), bytes.data(), bytes.size());
  return {memory, std::get_deleter<Release>(memory)->offset};
}

void LotTable::account(host::LotId lot, std::uint64_t count) {
  const auto found = open_.find(lot);
  if (found == open_.end()) return;
  Entry& entry = found->second;
  entry.tasks_left -= std::min(count, entry.tasks_left);
  if (entry.tasks_left > 0) return;
  ended_.push_back(std::move(entry));
  open_.erase(found);
}

void LotTable::release_ended() { ended_.clear(); }

}  // namespace rankpool::worker
