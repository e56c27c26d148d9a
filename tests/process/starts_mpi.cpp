// A program that makes MPI calls of its own.
//
//   starts_mpi master | before | funneled
#include <mpi.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
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

/// A child of the program lets the pool be.
void use_in_child(std::optional<rankpool::Pool>& pool) {
  std::cout.flush();
  const pid_t child = fork();
  if (child == 0) {
    try {
      pool->map(square, std::views::iota(0, 10));
    } catch (const std::logic_error& error) {
      std::cout << "the child was refused: " << error.what() << std::endl;
    }
    pool.reset();
    _exit(EXIT_SUCCESS);
  }
  waitpid(child, nullptr, 0);
}

int run_with_mpi_funneled(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  const int status = rankpool::run(argc, argv, start_in_master);
  MPI_Finalize();
  return status;
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
    use_in_child(pool);
    std::cout << pool->processes() << " executors: " << pool->map(square, std::views::iota(0, 100)).back() << '\n';
  }
  MPI_Finalize();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "before") return open_a_pool();
  if (what == "funneled") return run_with_mpi_funneled(argc, argv);
  return rankpool::run(argc, argv, start_in_master);
}
