// A program that makes MPI calls of its own, without a launcher.
//
//   starts_mpi master | before
#include <mpi.h>

#include <iostream>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>

#include <boost/mpi/communicator.hpp>

#include <rankpool/rankpool.hpp>

namespace {

int square(int x) { return x * x; }

bool mpi_runs() {
  int initialized = 0;
  MPI_Initialized(&initialized);
  return initialized != 0;
}

bool mpi_runs_in_task(int /*task*/) { return mpi_runs(); }

int ranks() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

void start_in_master(rankpool::Pool& pool) {
  std::cout << "before: " << pool.map(square, std::views::iota(0, 10)).back() << '\n';
  std::cout << (mpi_runs() ? "run() has started MPI\n" : "run() has not started MPI\n");
  MPI_Init(nullptr, nullptr);
  std::cout << "MPI with " << ranks() << " rank: " << pool.map(square, std::views::iota(0, 100)).back() << '\n';
  std::cout << (pool.apply(mpi_runs_in_task, 0) ? "MPI in tasks\n" : "no MPI in tasks\n");
  MPI_Finalize();
  std::cout << "after: " << pool.map(square, std::views::iota(0, 8)).back() << '\n';
}

int open_a_pool() {
  rankpool::prefork();
  int provided = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
  try {
    (void)rankpool::Pool::open(boost::mpi::communicator(), {.processes = -1});
  } catch (const std::invalid_argument& error) {
    std::cout << "refused: " << error.what() << '\n';
  }
  if (std::optional<rankpool::Pool> pool = rankpool::Pool::open(boost::mpi::communicator(), {.processes = 2})) {
    std::cout << pool->processes() << " executors: " << pool->map(square, std::views::iota(0, 100)).back() << '\n';
  }
  MPI_Finalize();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "before") return open_a_pool();
  return rankpool::run(argc, argv, start_in_master);
}
