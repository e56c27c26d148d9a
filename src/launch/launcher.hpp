// Who started this process: nobody in particular, or an MPI launcher.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace rankpool::launch {

/// The value of an environment variable, if it is set.
using Lookup = std::function<std::optional<std::string>(const char* name)>;

/// Looks into this process's environment.
std::optional<std::string> look_up(const char* name);

enum class Launch {
  alone,     ///< a pool of this process's own; MPI is not started
  launched,  ///< one of the ranks an MPI launcher started
  refused,   ///< one of several tasks that MPI cannot join into one program
};

struct Launcher {
  Launch launch = Launch::alone;
  std::string error;  ///< what is wrong and what cures it, when refused
};

Launcher detect(const Lookup& lookup);

/// The number of ranks the launcher says there are.
std::optional<int> promised_ranks(const Lookup& lookup);

/// What is wrong when MPI_COMM_WORLD has `actual` ranks although the launcher promised more, and what cures it.
std::optional<std::string> check_world(std::optional<int> promised, int actual);

}  // namespace rankpool::launch
