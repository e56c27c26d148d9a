/// @file
/// The address ranges mapped into this process.
#pragma once

#include <cstdint>
#include <vector>

namespace rankpool::task {

struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

/// Sorted, neighbours joined. Ranges without any access right are left out: nothing points there.
class Mappings {
 public:
  /// Reads /proc/self/maps.
  /// @throws std::runtime_error when it can't be read.
  static Mappings read();

  [[nodiscard]] bool contains(std::uintptr_t address) const;

  /// True within the lowest and the highest mapped address, where a new mapping may have appeared.
  [[nodiscard]] bool in_range(std::uintptr_t address) const {
    return !ranges_.empty() && address >= ranges_.front().begin && address < ranges_.back().end;
  }

 private:
  std::vector<Mapping> ranges_;
};

}  // namespace rankpool::task
