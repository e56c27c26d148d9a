#include "transport/collectives.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <mpi.h>
#include <boost/mpi/collectives.hpp>
#include <boost/mpi/environment.hpp>
#include <boost/mpi/exception.hpp>
#include <boost/mpi/operations.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>

#include "support/interval.hpp"
#include "transport/backoff.hpp"

namespace boost::serialization {

template <class Archive>
void serialize(Archive& archive, rankpool::support::ProcessIdentity& process, unsigned /*version*/) {
  archive& process.pid& process.start;
}

template <class Archive>
void serialize(Archive& archive, rankpool::support::CpuLimit& limit, unsigned /*version*/) {
  archive& limit.source& limit.group& limit.cpus;
}

template <class Archive>
void serialize(Archive& archive, rankpool::transport::RankFacts& facts, unsigned /*version*/) {
  archive& facts.host& facts.machine& facts.node_group& facts.process& facts.zygote& facts.executable_id& facts
      .cpus& facts.cores& facts.cpus_online& facts.cpus_of_job& facts.limits;
}

}  // namespace boost::serialization

namespace rankpool::transport {
namespace {

// Boost.MPI asserts that MPI succeeded before it throws: where assertions are on, nobody would read which rank failed.
// What carries the options and the channels therefore calls MPI itself.
void check(int error, const char* what) {
  if (error != MPI_SUCCESS) throw boost::mpi::exception(what, error);
}

constexpr std::chrono::milliseconds glance_interval{100};

// Whoever has ended may have been here and gone on; then what it sent arrives within this time.
constexpr std::chrono::seconds last_messages{1};

std::string mebibytes(std::size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

/// Runs one rank's part of a collective; an error says whose part it was and what for.
/// @param purpose completes "rank 1 of 4 on host n1 failed while".
template <class Part>
auto together(const boost::mpi::communicator& communicator, const std::string& purpose, Part&& part) {
  try {
    return std::forward<Part>(part)();
  } catch (const std::exception& error) {
    std::ostringstream text;
    text << "rank " << communicator.rank() << " of " << communicator.size() << " on host "
         << boost::mpi::environment::processor_name() << " failed while " << purpose << ": " << error.what();
    throw std::runtime_error(text.str());
  }
}

// Boost.MPI of this generation cannot split by node.
int lowest_rank_on_node(const boost::mpi::communicator& communicator) {
  MPI_Comm raw = MPI_COMM_NULL;
  check(MPI_Comm_split_type(communicator, MPI_COMM_TYPE_SHARED, communicator.rank(), MPI_INFO_NULL, &raw),
        "MPI_Comm_split_type");
  const boost::mpi::communicator node(raw, boost::mpi::comm_take_ownership);
  return boost::mpi::all_reduce(node, communicator.rank(), boost::mpi::minimum<int>());
}

/// Where each rank's bytes are in the bytes of all, as MPI counts them: with ints.
struct Places {
  std::vector<int> sizes;
  std::vector<int> starts;
  int total = 0;
};

/// @throws std::length_error, on all ranks alike.
Places place(const std::vector<std::uint64_t>& sizes) {
  constexpr std::uint64_t most = std::numeric_limits<int>::max();
  Places places;
  std::uint64_t total = 0;
  for (std::size_t rank = 0; rank < sizes.size(); ++rank) {
    if (sizes[rank] > most - total) {
      throw std::length_error("the bytes of ranks 0 to " + std::to_string(rank) + " are more than " + mebibytes(most) +
                              ", which is what MPI can gather; rank " + std::to_string(rank) + " has " +
                              mebibytes(sizes[rank]));
    }
    places.starts.push_back(static_cast<int>(total));
    places.sizes.push_back(static_cast<int>(sizes[rank]));
    total += sizes[rank];
  }
  places.total = static_cast<int>(total);
  return places;
}

}  // namespace

std::vector<RankFacts> gather_facts(const boost::mpi::communicator& communicator, RankFacts mine) {
  return together(communicator, "telling all ranks its host, its CPUs and its program", [&] {
    mine.node_group = lowest_rank_on_node(communicator);
    std::vector<RankFacts> all;
    boost::mpi::all_gather(communicator, mine, all);
    return all;
  });
}

std::vector<std::byte> broadcast_bytes(const boost::mpi::communicator& communicator, std::vector<std::byte> bytes,
                                       int root, std::size_t part_bytes) {
  const std::string purpose = "sending bytes of rank " + std::to_string(root) + " to all ranks";
  return together(communicator, purpose, [&] {
    std::uint64_t size = bytes.size();
    check(MPI_Bcast(&size, 1, MPI_UINT64_T, root, communicator), "MPI_Bcast");
    bytes.resize(size);
    for (std::size_t start = 0; start < bytes.size(); start += part_bytes) {
      const std::size_t part = std::min(part_bytes, bytes.size() - start);
      check(MPI_Bcast(bytes.data() + start, static_cast<int>(part), MPI_BYTE, root, communicator), "MPI_Bcast");
    }
    return std::move(bytes);
  });
}

std::vector<std::vector<std::byte>> gather_bytes_everywhere(const boost::mpi::communicator& communicator,
                                                            const std::vector<std::byte>& mine) {
  return together(communicator, "gathering bytes of all ranks", [&] {
    const std::uint64_t size = mine.size();
    std::vector<std::uint64_t> sizes(static_cast<std::size_t>(communicator.size()));
    check(MPI_Allgather(&size, 1, MPI_UINT64_T, sizes.data(), 1, MPI_UINT64_T, communicator), "MPI_Allgather");
    const Places places = place(sizes);
    std::vector<std::byte> bytes(static_cast<std::size_t>(places.total));
    check(MPI_Allgatherv(mine.data(), static_cast<int>(size), MPI_BYTE, bytes.data(), places.sizes.data(),
                         places.starts.data(), MPI_BYTE, communicator),
          "MPI_Allgatherv");
    std::vector<std::vector<std::byte>> all;
    auto at = bytes.cbegin();
    for (const int bytes_of_rank : places.sizes) {
      all.emplace_back(at, at + bytes_of_rank);
      at += bytes_of_rank;
    }
    return all;
  });
}

bool sleeping_barrier(const boost::mpi::communicator& communicator, const std::function<bool()>& somebody_is_dead) {
  return together(communicator, "waiting for the other ranks", [&] {
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Ibarrier(communicator, &request), "MPI_Ibarrier");
    support::Interval glance(glance_interval);
    std::optional<Backoff::Clock::time_point> dead_since;
    for (Backoff backoff;;) {
      int done = 0;
      check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
      if (done != 0) return true;
      const auto now = Backoff::Clock::now();
      if (dead_since && now > *dead_since + last_messages) return false;
      if (!dead_since && somebody_is_dead && glance.is_over(now) && somebody_is_dead()) dead_since = now;
      if (const auto sleep = backoff.next(); sleep.count() > 0) std::this_thread::sleep_for(sleep);
    }
  });
}

std::optional<boost::mpi::communicator> split(const boost::mpi::communicator& communicator, std::optional<int> colour) {
  return together(communicator, "splitting a communicator", [&]() -> std::optional<boost::mpi::communicator> {
    boost::mpi::communicator part = communicator.split(colour.value_or(MPI_UNDEFINED), communicator.rank());
    if (!colour) return std::nullopt;
    return part;
  });
}

}  // namespace rankpool::transport
