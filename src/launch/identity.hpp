// All ranks must run the same executable: functions travel as offsets in it.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "transport/rank_facts.hpp"

namespace rankpool::launch {

/// Names the odd ranks and their hosts, if there are any: those not of the majority or, where two programs are equally
/// frequent, those not of rank 0's.
std::optional<std::string> check_same_program(std::span<const transport::RankFacts> ranks);

}  // namespace rankpool::launch
