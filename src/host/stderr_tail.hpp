// Keeps the last that a task writes to stderr where it outlives the task.
#pragma once

#include <cstdint>

#include "host/channel.hpp"

namespace rankpool::host {

/// Called in an executor: from here on, what is written to the C stream stderr and to std::cerr and std::clog goes to
/// descriptor 2 as before, line by line, and to the slot's last words too. A stream that a task opens anew, and a C++
/// stream with a buffer of the program's own, are left alone. So is what does not go through these streams: write(),
/// what a process writes that a task starts, wide output, a FILE* that was copied from stderr before, and on a terminal
/// a perror() that comes before anything else, for which the C library opens a stream of its own.
///
/// A pipe would keep all of it, but stdout and stderr would lose their order, and isatty() would say no.
void keep_stderr(Channel& channel, std::uint32_t slot) noexcept;

/// Writes out and keeps what stands in the stream's buffer: for a crash. Async-signal-safe.
void give_unwritten_stderr() noexcept;

}  // namespace rankpool::host
