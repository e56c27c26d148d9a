// Pieces of messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rankpool::support {

/// "1 rank", "3 ranks".
inline std::string in_words(std::uint64_t count, std::string_view thing) {
  return std::to_string(count) + " " + std::string(thing) + (count == 1 ? "" : "s");
}

/// An exception's text without the "rankpool: " that it may begin with, for a message that has said so already.
inline std::string_view without_prefix(std::string_view text) {
  constexpr std::string_view prefix = "rankpool: ";
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

}  // namespace rankpool::support
