// How the inputs of the targets are laid out: shared by the targets and by what writes their corpus.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace rankpool::fuzz {

using Bytes = std::span<const std::byte>;
using Input = std::vector<std::byte>;

/// Takes a plain value off the front, filled up with zeros where the input is too short.
template <class T>
requires std::is_trivially_copyable_v<T> T take(Bytes& input) {
  T value{};
  const std::size_t bytes = std::min(sizeof value, input.size());
  if (bytes != 0) std::memcpy(&value, input.data(), bytes);
  input = input.subspan(bytes);
  return value;
}

template <class T>
requires std::is_trivially_copyable_v<T>
void put(Input& input, const T& value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  input.insert(input.end(), bytes, bytes + sizeof value);
}

inline void put(Input& input, Bytes bytes) { input.insert(input.end(), bytes.begin(), bytes.end()); }

/// Wire: whom the message is for, then the message.
enum class Receiver : std::uint8_t { leader, master };

/// So many bytes come beside each message.
inline constexpr std::size_t beside_bytes = 64;

/// Records: what leads the input; the ring's bytes from the head on follow, and then those of the lent blocks.
struct RecordInput {
  std::uint32_t head = 0;
  std::uint32_t published = 0;  ///< bytes from the head to the tail
  std::uint64_t open_run = 0;   ///< as in ExecutorSlot
  std::uint64_t lent = 0;       ///< bytes of the blocks; each of them holds the same, as far as there is room
};

/// Exception images: whether the checksum is made right before the image is looked at.
enum class Checksum : std::uint8_t { as_is, right };

inline constexpr std::size_t image_head = sizeof(std::uint32_t) + sizeof(std::uint64_t);

/// Puts the right checksum (FNV-1a) into an image.
inline void make_checksum_right(std::span<std::byte> image) {
  if (image.size() < image_head) return;
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte byte : image.subspan(image_head)) {
    hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  }
  std::memcpy(image.data() + sizeof(std::uint32_t), &hash, sizeof hash);
}

}  // namespace rankpool::fuzz
