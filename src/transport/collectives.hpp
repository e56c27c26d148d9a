// What all ranks of a communicator do together at start-up and shut-down. Every function is collective, and throws
// std::runtime_error naming the rank, its host and what it was doing when its part fails.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include <boost/mpi/communicator.hpp>

#include "transport/rank_facts.hpp"

namespace rankpool::transport {

/// Everybody's facts, by rank. Finds out node_group.
std::vector<RankFacts> gather_facts(const boost::mpi::communicator& communicator, RankFacts mine);

/// MPI counts bytes with an int; more than these travel in parts.
inline constexpr std::size_t broadcast_part_bytes = std::size_t{1} << 30;

/// The root's bytes, however many, on every rank.
/// @param part_bytes the same on all ranks, at most broadcast_part_bytes.
std::vector<std::byte> broadcast_bytes(const boost::mpi::communicator& communicator, std::vector<std::byte> bytes,
                                       int root, std::size_t part_bytes = broadcast_part_bytes);

/// Everybody's bytes, by rank: 2 GiB together at most.
std::vector<std::vector<std::byte>> gather_bytes_everywhere(const boost::mpi::communicator& communicator,
                                                            const std::vector<std::byte>& mine);

/// Returns when all have called it. Sleeps instead of polling at full speed, as MPI_Barrier does: ranks may wait here
/// for hours while the others' executors need the CPU.
/// @param somebody_is_dead asked now and then, if given. Once it says so, the others are not waited for much longer.
/// @returns false if they were not waited for: some may not have come.
bool sleeping_barrier(const boost::mpi::communicator& communicator,
                      const std::function<bool()>& somebody_is_dead = nullptr);

/// The communicator of all ranks with the same colour, in this one's order; ranks without a colour get none.
std::optional<boost::mpi::communicator> split(const boost::mpi::communicator& communicator, std::optional<int> colour);

}  // namespace rankpool::transport
