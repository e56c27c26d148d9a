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

/// What must be the same when a call goes on where another process has left it.
struct CallIdentity {
  std::string key;                ///< the user's; empty: calls are told apart by their order
  std::string what;               ///< "map"
  std::uint64_t build = 0;        ///< of the module that the function is in
  std::uint64_t function = 0;     ///< its place there
  Hash callable = 0;              ///< of what is captured or bound
  std::string result_type;        ///< its name
  std::size_t result_stride = 0;  ///< bytes of an encoded result; `variable_stride`: each has its length before it
};

}  // namespace rankpool::journal
