// What the fuzz targets have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "fuzz/formats.hpp"

/// libFuzzer's entry, which each target defines.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace rankpool::fuzz {

/// Ends the program, which libFuzzer takes for a finding, unless `holds`.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: it does not hold that %s\n", what);
  std::abort();
}

/// Reads every byte, so that the sanitizer sees where they are.
inline void read_all(Bytes bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += std::to_integer<unsigned>(byte);
  asm volatile("" : : "r"(sum));  // NOLINT(hicpp-no-assembler): it is used, for all the compiler knows
}

}  // namespace rankpool::fuzz
