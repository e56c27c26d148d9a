#include "host/arena.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <utility>

namespace rankpool::host {
namespace {

constexpr std::size_t page = 4096;
// Growing in steps keeps the number of fallocate calls low.
constexpr std::size_t growth_step = std::size_t{1} << 20U;
// More free memory than this at the end goes back to the system; less is recycled while warm.
constexpr std::size_t keep_limit = std::size_t{32} << 20U;
// The blocks of a call of one short task are a page each: they are found without a search.
constexpr std::size_t most_free_pages = 64;

constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

[[noreturn]] void throw_used_up() {
  throw std::system_error(ENOMEM, std::generic_category(),
                          "rankpool: the channel's address space is used up; RANKPOOL_CHANNEL_MB sets its size");
}

}  // namespace

Arena::Arena(SharedMemory& memory, std::uint64_t begin) : memory_(memory), begin_(round_up(begin, page)), top_(begin_) {
  free_pages_.reserve(most_free_pages);
}

std::size_t Arena::page_number(std::uint64_t offset) const { return (offset - begin_) / page; }

std::uint64_t Arena::allocate(std::size_t bytes) {
  if (bytes > memory_.size()) throw_used_up();  // before the rounding, which could overflow
  bytes = round_up(std::max<std::size_t>(bytes, 1), page);
  std::uint64_t offset = 0;
  if (bytes == page && !free_pages_.empty()) {
    offset = free_pages_.back();
    free_pages_.pop_back();
  } else {
    offset = allocate_extent(bytes);
  }
  pages_of_block_[page_number(offset)] = static_cast<std::uint32_t>(bytes / page);
  ++blocks_;
  return offset;
}

std::uint64_t Arena::allocate_extent(std::size_t bytes) {
  // First fit by address: what was used last at the low end is still in the cache.
  const auto fitting = [&] {
    return std::ranges::find_if(free_, [bytes](const auto& extent) { return extent.second >= bytes; });
  };
  auto fits = fitting();
  if (fits == free_.end() && !free_pages_.empty()) {
    coalesce_pages();
    fits = fitting();
  }
  return fits != free_.end() ? take(fits, bytes) : grow(bytes);
}

/// Single pages may part what would be one extent.
void Arena::coalesce_pages() {
  for (const std::uint64_t offset : free_pages_) add_free(offset, page);
  free_pages_.clear();
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
  pages_of_block_.resize(page_number(offset + step));
  memory_.commit(offset, step);
  top_ += step;
  if (step > bytes) add_free(offset + bytes, step - bytes);
  return offset;
}

void Arena::release(std::uint64_t offset) noexcept {
  if (offset < begin_ || offset >= top_ || offset % page != 0) return;
  const std::size_t pages = std::exchange(pages_of_block_[page_number(offset)], 0);
  if (pages == 0) return;
  --blocks_;
  const bool large = top_ - begin_ > keep_limit;
  if (pages == 1 && free_pages_.size() < most_free_pages && !large) {
    free_pages_.push_back(offset);
    return;
  }
  if (large) coalesce_pages();  // one may stand between the free memory and the end
  add_free(offset, pages * page);
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
