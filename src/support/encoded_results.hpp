// Results as executors encode them, one after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include <rankpool/detail/call.hpp>

namespace rankpool::support {

/// @param stride as Kernel::result_stride.
/// @returns what comes after the first of the results; nothing where the bytes end before that does.
inline std::optional<detail::Bytes> after_result(detail::Bytes results, std::size_t stride) {
  std::uint64_t bytes = stride;
  if (stride == detail::variable_stride) {
    if (results.size() < sizeof bytes) return std::nullopt;
    std::memcpy(&bytes, results.data(), sizeof bytes);
    results = results.subspan(sizeof bytes);
  }
  if (results.size() < bytes) return std::nullopt;
  return results.subspan(static_cast<std::size_t>(bytes));
}

}  // namespace rankpool::support
