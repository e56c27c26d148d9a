#include "transport/collectives.hpp"

#include <span>
#include <thread>
#include <utility>

#include <mpi.h>
#include <boost/mpi/collectives.hpp>
#include <boost/mpi/exception.hpp>
#include <boost/mpi/operations.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>

#include "transport/backoff.hpp"

namespace boost::serialization {

template <class Archive>
void serialize(Archive& archive, rankpool::transport::RankFacts& facts, unsigned /*version*/) {
  archive& facts.host& facts.machine& facts.node_group& facts.pid& facts.executable_id& facts.cpus& facts
      .cpus_online& facts.cpus_of_job;
}

}  // namespace boost::serialization

namespace rankpool::transport {
namespace {

void check(int error, const char* what) {
  if (error != MPI_SUCCESS) throw boost::mpi::exception(what, error);
}

// Boost.MPI of this generation cannot split by node.
int lowest_rank_on_node(const boost::mpi::communicator& communicator) {
  MPI_Comm raw = MPI_COMM_NULL;
  check(MPI_Comm_split_type(communicator, MPI_COMM_TYPE_SHARED, communicator.rank(), MPI_INFO_NULL, &raw),
        "MPI_Comm_split_type");
  const boost::mpi::communicator node(raw, boost::mpi::comm_take_ownership);
  return boost::mpi::all_reduce(node, communicator.rank(), boost::mpi::minimum<int>());
}

}  // namespace

std::vector<RankFacts> gather_facts(const boost::mpi::communicator& communicator, RankFacts mine) {
  mine.node_group = lowest_rank_on_node(communicator);
  std::vector<RankFacts> all;
  boost::mpi::all_gather(communicator, mine, all);
  return all;
}

std::vector<std::byte> broadcast_bytes(const boost::mpi::communicator& communicator, std::vector<std::byte> bytes,
                                       int root) {
  auto size = static_cast<int>(bytes.size());
  boost::mpi::broadcast(communicator, size, root);
  bytes.resize(static_cast<std::size_t>(size));
  // Boost.MPI knows char, not std::byte.
  if (size > 0) boost::mpi::broadcast(communicator, reinterpret_cast<char*>(bytes.data()), size, root);  // NOLINT
  return bytes;
}

std::vector<std::vector<std::byte>> gather_bytes_everywhere(const boost::mpi::communicator& communicator,
                                                            const std::vector<std::byte>& mine) {
  const auto* first = reinterpret_cast<const char*>(mine.data());  // NOLINT: as above
  std::vector<std::vector<char>> texts;
  boost::mpi::all_gather(communicator, std::vector<char>(first, first + mine.size()), texts);
  std::vector<std::vector<std::byte>> all;
  for (const std::vector<char>& text : texts) {
    const auto bytes = std::as_bytes(std::span(text));
    all.emplace_back(bytes.begin(), bytes.end());
  }
  return all;
}

void sleeping_barrier(const boost::mpi::communicator& communicator) {
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ibarrier(communicator, &request), "MPI_Ibarrier");
  for (Backoff backoff;;) {
    int done = 0;
    check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done != 0) return;
    if (const auto sleep = backoff.next(); sleep.count() > 0) std::this_thread::sleep_for(sleep);
  }
}

std::optional<boost::mpi::communicator> split(const boost::mpi::communicator& communicator, std::optional<int> colour) {
  boost::mpi::communicator part = communicator.split(colour.value_or(MPI_UNDEFINED), communicator.rank());
  if (!colour) return std::nullopt;
  return part;
}

}  // namespace rankpool::transport
