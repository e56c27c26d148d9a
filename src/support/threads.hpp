// How many threads this process has.
#pragma once

#include <cstddef>
#include <optional>

namespace rankpool::support {

/// Without those of a sanitizer. @returns nothing where that can't be told.
std::optional<std::ptrdiff_t> threads_of_this_process();

}  // namespace rankpool::support
