// A rank ends where the others don't expect it:
//
//   rank_ends CASE RANK [MILLISECONDS]
//
//   exit      exits with status 4 before run()
//   kill      is killed before run()
//   kill-dup  is killed where the ranks first do something together
//   kill-at   is killed so many milliseconds after its start, wherever it is
//   finalize  is killed while the pool works, and MPI_Finalize waits for it in all others for ever
//   at-exit   is killed while the pool works, and rank 0 has much to do when it exits
//   again     is killed while the pool works, and the others want another pool
//
// Once the pool has worked the status is 7.
#include <mpi.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

using namespace std::chrono_literals;

constexpr int worked = 7;

std::string mode;
int victim = -1;

int this_rank() {
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  return rank == nullptr ? 0 : std::atoi(rank);
}

bool is_victim(const char* of_mode) { return mode == of_mode && this_rank() == victim; }

pid_t pid_of_victim() {
  std::ifstream children("/proc/" + std::to_string(getppid()) + "/task/" + std::to_string(getppid()) + "/children");
  for (pid_t child = 0; children >> child;) {
    std::ifstream environment("/proc/" + std::to_string(child) + "/environ");
    for (std::string entry; std::getline(environment, entry, '\0');) {
      if (entry == "OMPI_COMM_WORLD_RANK=" + std::to_string(victim)) return child;
    }
  }
  return 0;
}

int work(rankpool::Pool& pool) {
  const auto half = [](int i) {
    std::this_thread::sleep_for(5ms);
    return i / 2;
  };
  std::vector<int> inputs(100);
  std::iota(inputs.begin(), inputs.end(), 0);
  const bool kills = mode == "finalize" || mode == "at-exit" || mode == "again";
  const pid_t pid = pid_of_victim();
  if (kills && (pid == 0 || kill(pid, SIGKILL) != 0)) return EXIT_FAILURE;
  const std::vector<int> results = pool.map(half, inputs);
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i] != inputs[i] / 2) return EXIT_FAILURE;
  }
  std::cout << "all tasks right\n";
  return worked;
}

void die_after(std::chrono::milliseconds pause) {
  std::thread([pause] {
    std::this_thread::sleep_for(pause);
    raise(SIGKILL);
  }).detach();
}

void summarise() {
  if (this_rank() != 0) return;
  std::this_thread::sleep_for(7s);
  std::cout << "a summary at exit\n";
}

}  // namespace

// In front of the MPI library's.
extern "C" int MPI_Comm_dup(MPI_Comm from, MPI_Comm* to) {
  if (is_victim("kill-dup")) raise(SIGKILL);
  return PMPI_Comm_dup(from, to);
}

extern "C" int MPI_Finalize() {
  while (mode == "finalize") pause();
  return PMPI_Finalize();
}

int main(int argc, char** argv) {
  if (argc < 3) return 64;
  mode = argv[1];
  victim = std::atoi(argv[2]);
  if (is_victim("exit")) return 4;
  if (is_victim("kill")) raise(SIGKILL);
  if (is_victim("kill-at") && argc > 3) die_after(std::chrono::milliseconds(std::atoi(argv[3])));
  if (mode == "at-exit") std::atexit(summarise);
  const int status = rankpool::run(argc, argv, work);
  return mode == "again" ? rankpool::run(argc, argv, work) : status;
}
