// Pieces of messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rankpool::support {

/// "1 rank", "3 ranks".
inline std::string in_words(std::uint64_t count, std::string_view thing) {
  return std::to_string(count) + " " + std::string(thing) + (count == 1 ? "" : "s");
}

/// In units of 2^20 bytes, as RANKPOOL_CHANNEL_MB counts, rounded up: "64 MB".
inline std::string megabytes(std::size_t bytes) {
  constexpr std::size_t megabyte = std::size_t{1} << 20U;
  return std::to_string((bytes + megabyte - 1) / megabyte) + " MB";
}

inline std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// An exception's text without the "rankpool: " that it may begin with, for a message that has said so already.
inline std::string_view without_prefix(std::string_view text) {
  constexpr std::string_view prefix = "rankpool: ";
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

}  // namespace rankpool::support
