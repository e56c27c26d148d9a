// What an executor does when it crashes: it leaves its stack in the channel, and dies of the same signal.
#pragma once

#include "host/last_words.hpp"

namespace rankpool::host {

/// Lets the unwinder make the memory that it needs, for this process and its forks: in a crash there is none to be had.
void warm_up_crash_handler() noexcept;

/// Called in an executor: the signals of a crash that nobody handles write `crash` before they end the process. A
/// handler that is there already, or that a task sets later, stays in charge; it may call the one it has replaced.
/// Threads other than the calling one have no alternate stack: of an overflow of theirs there is no dump.
void dump_crashes_to(CrashDump& crash) noexcept;

}  // namespace rankpool::host
