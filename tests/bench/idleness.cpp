// CPU time of all processes while the pool is open and has nothing to do.
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "bench/bench.hpp"

namespace rankpool::bench {
namespace {

/// CPU seconds used so far by a process and all that descend from it.
double cpu_of_tree(int pid) {
  double seconds = 0;
  std::ifstream stat("/proc/" + std::to_string(pid) + "/schedstat");
  double nanoseconds = 0;
  if (stat >> nanoseconds) seconds += nanoseconds * 1e-9;
  std::ifstream children("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  for (int child = 0; children >> child;) seconds += cpu_of_tree(child);
  return seconds;
}

}  // namespace

void measure_idleness(const Request& request, Pool& pool) {
  if (!request.wants("idle_cpu")) return;
  pool.apply(square, 1.0);
  const int root = std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr ? getppid() : getpid();
  const double before = cpu_of_tree(root);
  std::this_thread::sleep_for(std::chrono::seconds(3));
  const double used = cpu_of_tree(root) - before;
  emit(request, "idle_cpu", 0, used, Fields().add("cpu_s", used));
}

}  // namespace rankpool::bench
