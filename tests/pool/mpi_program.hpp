/// @file
/// Test programs that start MPI themselves: every rank runs every case, in step.
/// Arguments: the level of threads that MPI is started with (`single`, `funneled`, `serialized`, `multiple`, which is
/// the default), `late` for no prefork() before MPI_Init.
/// Suites ...OnTwoRanks run on at least so many, suites ...InTurns where threads may call MPI by turns.
#pragma once

#include "pool/pool_test.hpp"

#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <boost/mpi/communicator.hpp>
#include <boost/mpi/environment.hpp>

namespace rankpool::test {

inline boost::mpi::threading::level thread_level = boost::mpi::threading::multiple;

/// Whether any thread may call MPI at any time, and so use a pool.
inline bool threads_may_call() { return thread_level == boost::mpi::threading::multiple; }

/// Opens a pool, lets the root use it, and closes it by dropping it.
template <class Use>
void with_pool(const boost::mpi::communicator& ranks, int root, const Use& use, PoolOptions options = {}) {
  std::optional<Pool> pool = Pool::open(ranks, std::move(options), root);
  EXPECT_EQ(pool.has_value(), ranks.rank() == root);
  if (pool) use(*pool);
}

/// @returns the program's status.
inline int run_mpi_cases(int argc, char** argv) {
  bool early = true;
  for (const std::string& word : std::vector<std::string>(argv + 1, argv + argc)) {
    if (word.starts_with("--")) continue;
    if (word == "late") {
      early = false;
    } else if (!(std::istringstream(word) >> thread_level)) {
      std::cerr << "no level of threads is called " << word << '\n';
      return EXIT_FAILURE;
    }
  }
  if (early) prefork();
  const boost::mpi::environment environment(argc, argv, thread_level);
  if (boost::mpi::environment::thread_level() != thread_level) {
    std::cerr << "this MPI gives " << boost::mpi::environment::thread_level() << " where " << thread_level
              << " is asked for: the cases would prove nothing\n";
    return EXIT_FAILURE;
  }
  std::string left_out;
  if (boost::mpi::communicator().size() < 2) left_out += ":*OnTwoRanks.*";
  if (thread_level < boost::mpi::threading::serialized) left_out += ":*InTurns.*";
  if (!left_out.empty()) testing::GTEST_FLAG(filter) = "-" + left_out.substr(1);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

}  // namespace rankpool::test
