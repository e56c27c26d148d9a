// The line that says at the start who runs where.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "launch/layout.hpp"
#include "transport/rank_facts.hpp"

namespace rankpool::launch {

/// @param mpi_library its name and version; empty where MPI is not used.
std::string describe(const Layout& layout, std::span<const transport::RankFacts> ranks, std::string_view mpi_library);

}  // namespace rankpool::launch
