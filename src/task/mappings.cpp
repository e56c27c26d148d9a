#include "task/mappings.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <stdexcept>
#include <string>

namespace rankpool::task {

Mappings Mappings::read() {
  std::ifstream maps("/proc/self/maps");
  if (!maps) throw std::runtime_error("rankpool: can't read /proc/self/maps to check a closure for pointers");
  Mappings mappings;
  for (std::string line; std::getline(maps, line);) {
    // "begin-end rwxp ..."
    Mapping mapping;
    const char* end = line.data() + line.size();
    const auto begin = std::from_chars(line.data(), end, mapping.begin, 16);
    if (begin.ptr == end) continue;
    const auto rights = std::from_chars(begin.ptr + 1, end, mapping.end, 16);
    if (end - rights.ptr < 4 || (rights.ptr[1] == '-' && rights.ptr[2] == '-' && rights.ptr[3] == '-')) continue;
    auto& ranges = mappings.ranges_;
    if (!ranges.empty() && ranges.back().end == mapping.begin)
      ranges.back().end = mapping.end;
    else
      ranges.push_back(mapping);
  }
  return mappings;
}

bool Mappings::contains(std::uintptr_t address) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                                      [](std::uintptr_t a, const Mapping& mapping) { return a < mapping.begin; });
  return after != ranges_.begin() && address < std::prev(after)->end;
}

}  // namespace rankpool::task
