// What the library says on stderr by itself: warnings, and with RANKPOOL_LOG=info a little more.
#pragma once

#include <cstdint>
#include <iostream>
#include <string>

namespace rankpool::support {

/// How much of it.
enum class LogLevel : std::uint8_t { quiet, warning, info };

/// Of a pool that was given none.
inline constexpr const char* default_pool_name = "rankpool";

/// Prints "rankpool: text", or "rankpool: name: text" where the pool has a name of its own: one line, at once.
inline void print_notice(const std::string& pool, const std::string& text) {
  std::cerr << "rankpool: " + (pool == default_pool_name ? "" : pool + ": ") + text + '\n' << std::flush;
}

}  // namespace rankpool::support
