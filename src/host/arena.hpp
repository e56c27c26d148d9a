// Blocks of the channel's memory for pieces and for large results. Only the rank that leads the node allocates, so the
// book is private to it and survives whatever an executor does.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "host/shared_memory.hpp"

namespace rankpool::host {

class Arena {
 public:
  /// Manages the memory from `begin` to its end.
  Arena(SharedMemory& memory, std::uint64_t begin);

  /// @returns the offset of a page-aligned block. Throws std::system_error (ENOMEM).
  std::uint64_t allocate(std::size_t bytes);
  void release(std::uint64_t offset) noexcept;

  [[nodiscard]] std::size_t blocks() const { return blocks_; }

 private:
  [[nodiscard]] std::uint64_t allocate_extent(std::size_t bytes);
  std::uint64_t take(std::map<std::uint64_t, std::size_t>::iterator extent, std::size_t bytes);
  std::uint64_t grow(std::size_t bytes);
  void coalesce_pages();
  void trim() noexcept;
  void add_free(std::uint64_t offset, std::size_t bytes);
  [[nodiscard]] std::size_t page_number(std::uint64_t offset) const;

  SharedMemory& memory_;
  std::uint64_t begin_;
  std::uint64_t top_;                          ///< committed up to here
  std::map<std::uint64_t, std::size_t> free_;  ///< committed extents, coalesced
  std::vector<std::uint64_t> free_pages_;      ///< single ones, not among the extents: the last one freed comes first
  std::vector<std::uint32_t> pages_of_block_;  ///< by the number of its first page; 0: no block begins there
  std::size_t blocks_ = 0;
};

}  // namespace rankpool::host
