// The pool's costs, one JSON line per figure:
//
//   bench_workloads [--peer NAME] [--cpus N] [WORKLOAD[,WORKLOAD]...]...     as ./program or under mpirun
//
// By default all, and efficiencies as of one CPU for each executor.
//
// map_tiny          x*x over 1,000,000 doubles, default chunks; map_tiny_fn and map_tiny_lambda: inlined
// map_unchunked     the same over 100,000, chunksize 1
// apply_latency     one task after another
// map_100us         20,000 tasks of 100 us: efficiency; map_100us_c1: chunksize 1
// map_irregular     the same total, heavy-tailed lengths; map_irregular_c1: chunksize 1
// map_1ms           a whole pool with 2,000 tasks of 1 ms for each executor; map_1ms_journal: their results are kept
// metg              the length of a task at which the efficiency is a half; metg_c1: chunksize 1
// payload_1MB       500 tasks, 1 MB there and back; payload_1MB_reuse: few inputs, and the results' memory used again
// shared_add        fetch_add on one Value by all executors; shared_lock: lock and unlock of one Lock,
// shared_lock_alone:
//                   by one executor; shared_queue: put and get on one Queue
// startup           a pool made and ended in a process that has had one; startup_first: with a first result
// startup_cmd       a whole ./program; increase_ms: over an empty program of the same links
// idle_cpu          CPU time of all processes while the pool is open and idle for 3 s
// terminate         terminate() while every executor runs a task that ignores all signals and never ends
#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <iostream>
#include <ranges>
#include <string>
#include <string_view>

#include "bench/bench.hpp"

namespace {

using namespace rankpool::bench;  // NOLINT(google-build-using-namespace)

const std::set<std::string> known{
    "map_tiny",     "map_tiny_fn", "map_tiny_lambda",   "map_unchunked", "apply_latency", "map_100us",
    "map_100us_c1", "map_1ms",     "map_1ms_journal",   "metg",          "map_irregular", "map_irregular_c1",
    "metg_c1",      "payload_1MB", "payload_1MB_reuse", "shared_add",    "shared_lock",   "shared_lock_alone",
    "shared_queue", "startup",     "startup_first",     "idle_cpu",      "terminate",     "startup_cmd"};

/// @returns false where the command line is wrong.
bool read(int argc, char** argv, Request& request) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--peer" && i + 1 < argc) {
      request.peer = argv[++i];
      continue;
    }
    if (argument == "--cpus" && i + 1 < argc) {
      request.cpus = std::stoi(argv[++i]);
      continue;
    }
    for (const auto part : argument | std::views::split(',')) {
      const std::string workload(part.begin(), part.end());
      request.workloads.insert(workload);
      if (known.contains(workload)) continue;
      std::cerr << "bench_workloads: there is no workload " << workload << "; the workloads are";
      for (const std::string& name : known) std::cerr << ' ' << name;
      std::cerr << '\n';
      return false;
    }
  }
  return true;
}

bool wants_any(const Request& request, std::initializer_list<const char*> workloads) {
  return std::ranges::any_of(workloads, [&](const char* workload) { return request.wants(workload); });
}

}  // namespace

int main(int argc, char** argv) {
  int status = EXIT_SUCCESS;
  if (live(argc, argv, status)) return status;
  Request request;
  if (!read(argc, argv, request)) return 64;
  const bool launched = std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr;
  if (!launched) status |= measure_lives(request);
  status |= measure_journal(request);
  status |= measure_starts(request, argc, argv);
  status |= measure_terminate(request, argc, argv);
  if (!wants_any(request,
                 {"map_tiny", "map_tiny_fn", "map_tiny_lambda", "map_unchunked", "apply_latency", "map_100us",
                  "map_100us_c1", "map_irregular", "map_irregular_c1", "metg", "metg_c1", "payload_1MB",
                  "payload_1MB_reuse", "idle_cpu", "shared_add", "shared_lock", "shared_lock_alone", "shared_queue"})) {
    return status;
  }
  return status | rankpool::run(argc, argv, [&](rankpool::Pool& pool) {
           measure_throughput(request, pool);
           measure_efficiency(request, pool);
           measure_granularity(request, pool);
           measure_payload(request, pool);
           measure_idleness(request, pool);
           measure_shared_objects(request, pool);
         });
}
