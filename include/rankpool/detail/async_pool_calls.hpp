/// @file
/// How a call that nobody waits for begins.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include <rankpool/detail/call.hpp>
#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/future_call.hpp>
#include <rankpool/future.hpp>

namespace rankpool::detail {

/// Starts the call, and draws all its inputs.
/// @throws what start() does, and what drawing does: then the call has been dropped.
template <class R>
Future<R> start_call(PoolCore& core, const CallSpec& spec, InputSource& source, std::shared_ptr<FutureState<R>> call) {
  core.start(spec, source.size(), call);
  const std::shared_ptr<AsyncCore> pool = call->pool();
  try {
    while (pool != nullptr && pool->feed(*call, source, std::numeric_limits<std::uint64_t>::max())) {
    }
  } catch (...) {
    pool->drop(*call);
    throw;
  }
  return Future<R>(std::move(call));
}

}  // namespace rankpool::detail
