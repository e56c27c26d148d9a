// Megabytes there and back.
#include <cstdlib>

#include "bench/bench.hpp"

namespace rankpool::bench {
namespace {

using Payload = std::vector<double>;

Payload add_one(Payload values) {
  for (double& value : values) value += 1;
  return values;
}

}  // namespace

void measure_payload(const Request& request, Pool& pool) {
  if (!request.wants("payload_1MB")) return;
  constexpr std::size_t tasks = 500;
  constexpr std::size_t doubles = 131'072;
  const std::vector<Payload> inputs(tasks, Payload(doubles, 1.5));
  const double seconds = median_seconds(3, [&] {
    if (pool.map(add_one, inputs).back().back() != 2.5) std::abort();
  });
  const double megabytes = 2.0 * tasks * doubles * sizeof(double) * 1e-6;
  emit(request, "payload_1MB", tasks, seconds, Fields().add("MBps", megabytes / seconds));
}

}  // namespace rankpool::bench
