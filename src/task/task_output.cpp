#include <cstdio>
#include <iostream>

#include <rankpool/detail/task_output.hpp>

namespace rankpool::detail {

std::ostream* const standard_output = &std::cout;
std::ostream* const standard_log = &std::clog;

void flush_task_output() noexcept {
  try {
    for (std::ostream* stream : {&std::cout, &std::clog}) stream->flush();
    for (std::wostream* stream : {&std::wcout, &std::wclog}) stream->flush();
  } catch (...) {  // NOLINT(bugprone-empty-catch): a task whose text has nowhere to go still has its result
  }
  std::fflush(stdout);
  std::fflush(stderr);
}

}  // namespace rankpool::detail
