/// @file
/// The stack of a task's crash, in words.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <rankpool/detail/code_address.hpp>

namespace rankpool::task {

/// Frames. Of a stack this deep the outermost may not have been kept.
inline constexpr std::size_t deep_stack = 48;

/// One call on a stack.
struct Call {
  std::string function;  ///< as C++ has it; empty: not known
  std::string file;      ///< empty: not known
  int line = 0;
  std::string module;  ///< file name of the executable or library; empty: not known
};

/// Leaves the task's own calls: without those by which the program was aborted, those by which the pool came to the
/// task or a thread to its function, and the outermost of very many. The innermost call comes first.
void keep_tasks_own(std::vector<Call>& calls);

/// The calls of a stack, each of which may be several functions that the compiler made one of, in lines for people.
/// Thread-safe; the first call reads the debug information of the modules.
/// @param stack the innermost frame first, each address within the frame's instruction.
std::vector<std::string> backtrace_lines(std::span<const detail::CodeAddress> stack);

}  // namespace rankpool::task
