// What tells a call from others, also in another process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace rankpool::journal {

using Bytes = std::span<const std::byte>;
using Hash = std::uint64_t;

/// Of an input, or of a callable's state, as it is encoded.
[[nodiscard]] Hash hash_of(Bytes bytes);

/// Tells whether a row is as it was written. That of zlib, for other programs.
[[nodiscard]] std::uint32_t sum_of(std::span<const Hash> inputs, Bytes encoded);

/// What must be the same when a call goes on where another process has left it.
struct CallIdentity {
  std::string key;                ///< the user's, or "#3" of the third call that has none
  bool is_named = false;          ///< the key is the user's
  std::string what;               ///< "map"
  std::uint64_t build = 0;        ///< of the module that the function is in
  std::uint64_t function = 0;     ///< its place there
  Hash callable = 0;              ///< of what is captured or bound
  std::string result_type;        ///< its name
  std::size_t result_stride = 0;  ///< bytes of an encoded result; `variable_stride`: each has its length before it
  std::uint64_t seed = 0;         ///< of the pool's random numbers
  std::uint64_t number = 0;       ///< of the call in the pool now
};

}  // namespace rankpool::journal
