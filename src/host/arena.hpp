// Blocks of the channel's memory for pieces and for large results. Only the rank that leads the node allocates, so the
// book is private to it and survives whatever an executor does.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>

#include "host/shared_memory.hpp"

namespace rankpool::host {

class Arena {
 public:
  /// Manages the memory from `begin` to its end.
  Arena(SharedMemory& memory, std::uint64_t begin);

  /// @returns the offset of a page-aligned block. Throws std::system_error (ENOMEM).
  std::uint64_t allocate(std::size_t bytes);
  void release(std::uint64_t offset) noexcept;

  [[nodiscard]] std::size_t blocks() const { return used_.size(); }

 private:
  std::uint64_t take(std::map<std::uint64_t, std::size_t>::iterator extent, std::size_t bytes);
  std::uint64_t grow(std::size_t bytes);
  void trim() noexcept;
  void add_free(std::uint64_t offset, std::size_t bytes);

  SharedMemory& memory_;
  std::uint64_t top_;                                    ///< committed up to here
  std::map<std::uint64_t, std::size_t> free_;            ///< committed extents, coalesced
  std::unordered_map<std::uint64_t, std::size_t> used_;  ///< block sizes
};

}  // namespace rankpool::host
