#include "support/threads.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace rankpool::support {

std::optional<std::ptrdiff_t> threads_of_this_process() {
#ifdef __SANITIZE_THREAD__
  constexpr std::ptrdiff_t sanitizers = 1;  // at the latest with the first thread of the program's own
#else
  constexpr std::ptrdiff_t sanitizers = 0;
#endif
  std::error_code error;
  std::ptrdiff_t count = 0;
  std::filesystem::directory_iterator threads("/proc/self/task", error);
  for (; !error && threads != std::filesystem::directory_iterator(); threads.increment(error)) ++count;
  if (error) return std::nullopt;
  return std::max<std::ptrdiff_t>(1, count - sanitizers);
}

}  // namespace rankpool::support
