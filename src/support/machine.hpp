// Which machine this is.
#pragma once

#include <string>

namespace rankpool::support {

/// Processes with the same one see each other's numbers: it names the boot of a kernel and the namespace of process
/// numbers. Empty where that can't be told.
[[nodiscard]] std::string machine_id();

}  // namespace rankpool::support
