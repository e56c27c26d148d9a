#include <rankpool/detail/async_call.hpp>

#include <thread>

#include "master/callback_mark.hpp"

namespace rankpool::detail {

bool AsyncCall::await_end_of_pool(std::optional<std::chrono::steady_clock::time_point> deadline) const {
  using namespace std::chrono_literals;
  master::CallbackMark::refuse_blocking(pool_);
  while (!done()) {
    if (deadline && std::chrono::steady_clock::now() >= *deadline) return false;
    std::this_thread::sleep_for(100us);
  }
  return true;
}

}  // namespace rankpool::detail
