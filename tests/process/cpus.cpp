// Says which CPUs the executors may run on:
//
//   cpus [TASKS [die]]
//
// So many tasks for each executor meet, so that spare ones start; or each executor is replaced first.
#include <sched.h>
#include <unistd.h>

#include <cstddef>
#include <iostream>
#include <ranges>
#include <string>
#include <string_view>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

std::string my_cpus() {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) return " unknown";
  std::string text;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &cpus)) text += ' ' + std::to_string(cpu);
  }
  return text;
}

void report(rankpool::Pool& pool, int tasks, bool replaced) {
  const int count = tasks * pool.processes();
  const rankpool::Barrier barrier = pool.barrier(count);
  const int base = pool.processes();  // of the one node
  const auto meet = [=](int) {
    if (replaced && rankpool::this_task::attempt() == 1) _exit(1);
    barrier.wait();
    return "slot " + std::to_string(rankpool::this_task::slot()) + " of rank " +
           std::to_string(rankpool::this_task::rank()) + (rankpool::this_task::slot() < base ? " (base)" : " (spare)") +
           " runs on" + my_cpus();
  };
  for (const std::string& line : pool.map(meet, std::views::iota(0, count), {.chunksize = 1}))
    std::cout << line << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const int tasks = argc > 1 ? std::stoi(argv[1]) : 1;
  const bool replaced = argc > 2 && std::string_view(argv[2]) == "die";
  return rankpool::run(argc, argv, [&](rankpool::Pool& pool) { report(pool, tasks, replaced); });
}
