#include "host/arena.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>

namespace rankpool::host {
namespace {

constexpr std::size_t page = 4096;
// Growing in steps keeps the number of fallocate calls low.
constexpr std::size_t growth_step = std::size_t{1} << 20U;
// More free memory than this at the end goes back to the system; less is recycled while warm.
constexpr std::size_t keep_limit = std::size_t{32} << 20U;

constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

[[noreturn]] void throw_used_up() {
  throw std::system_error(ENOMEM, std::generic_category(),
                          "rankpool: the channel's address space is used up; RANKPOOL_CHANNEL_MB sets its size");
}

}  // namespace

Arena::Arena(SharedMemory& memory, std::uint64_t begin) : memory_(memory), top_(round_up(begin, page)) {}

std::uint64_t Arena::allocate(std::size_t bytes) {
  if (bytes > memory_.size()) throw_used_up();  // before the rounding, which could overflow
  bytes = round_up(std::max<std::size_t>(bytes, 1), page);
  // First fit by address: what was used last at the low end is still in the cache.
  const auto fits = std::ranges::find_if(free_, [bytes](const auto& extent) { return extent.second >= bytes; });
  const std::uint64_t offset = fits != free_.end() ? take(fits, bytes) : grow(bytes);
  used_.emplace(offset, bytes);
  return offset;
}

std::uint64_t Arena::take(std::map<std::uint64_t, std::size_t>::iterator extent, std::size_t bytes) {
  const auto [offset, size] = *extent;
  free_.erase(extent);
  if (size > bytes) free_.emplace(offset + bytes, size - bytes);
  return offset;
}

std::uint64_t Arena::grow(std::size_t bytes) {
  const std::uint64_t offset = top_;
  if (bytes > memory_.size() - top_) throw_used_up();
  const std::size_t step = std::min<std::size_t>(std::max(bytes, growth_step), memory_.size() - top_);
  memory_.commit(offset, step);
  top_ += step;
  if (step > bytes) add_free(offset + bytes, step - bytes);
  return offset;
}

void Arena::release(std::uint64_t offset) noexcept {
  const auto block = used_.find(offset);
  if (block == used_.end()) return;
  const std::size_t bytes = block->second;
  used_.erase(block);
  add_free(offset, bytes);
  trim();
}

// Only what lies at the end goes back to the system: a hole in the middle would have to be reserved again at its next
// use.
void Arena::trim() noexcept {
  if (free_.empty()) return;
  const auto [offset, bytes] = *std::prev(free_.end());
  if (offset + bytes != top_ || bytes <= keep_limit) return;
  memory_.decommit(offset, bytes);
  free_.erase(offset);
  top_ = offset;
}

void Arena::add_free(std::uint64_t offset, std::size_t bytes) {
  auto [extent, inserted] = free_.emplace(offset, bytes);
  if (const auto next = std::next(extent); next != free_.end() && offset + bytes == next->first) {
    extent->second += next->second;
    free_.erase(next);
  }
  if (extent != free_.begin()) {
    if (const auto before = std::prev(extent); before->first + before->second == extent->first) {
      before->second += extent->second;
      free_.erase(extent);
    }
  }
}

}  // namespace rankpool::host
