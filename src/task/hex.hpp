/// @file
/// Numbers as addresses are written.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <string>

namespace rankpool::task {

/// "0x1f".
inline std::string hex(std::uint64_t number) {
  std::array<char, 16> digits{};
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16);
  return "0x" + std::string(digits.data(), result.ptr);
}

}  // namespace rankpool::task
