// Shared objects in the hands of all executors at once: the time of one operation of the pool as a whole.
#include <mutex>
#include <ranges>

#include "bench/bench.hpp"

namespace rankpool::bench {
namespace {

/// Each executor does it so often; few where each time is a message.
template <class Operation>
void measure_sharing(const Request& request, Pool& pool, const std::string& workload, int tasks,
                     const Operation& operation) {
  if (!request.wants(workload)) return;
  constexpr double enough_seconds = 0.2;
  int times = 1000;
  const auto all_together = [&] {
    pool.map(
        [operation, times](int) {
          for (int i = 0; i < times; ++i) operation();
        },
        std::views::iota(0, tasks), {.chunksize = 1});
  };
  double seconds = seconds_of(all_together);
  while (seconds < enough_seconds) {
    times *= 2;
    seconds = seconds_of(all_together);
  }
  emit(request, workload, long{tasks} * times, median_seconds(3, all_together),
       Fields().add("executors", pool.processes()));
}

}  // namespace

void measure_shared_objects(const Request& request, Pool& pool) {
  const auto value = pool.value<long>(0);
  const auto lock = pool.lock();
  const auto queue = pool.queue<int>();
  const auto add = [value] { value.fetch_add(1); };
  const auto lock_and_unlock = [lock] { const std::scoped_lock held(lock); };
  const auto put_and_get = [queue] {
    queue.put(1);
    static_cast<void>(queue.get());
  };
  const int executors = pool.processes();
  measure_sharing(request, pool, "shared_add", executors, add);
  measure_sharing(request, pool, "shared_lock", executors, lock_and_unlock);
  measure_sharing(request, pool, "shared_lock_alone", 1, lock_and_unlock);
  measure_sharing(request, pool, "shared_queue", executors, put_and_get);
}

}  // namespace rankpool::bench
