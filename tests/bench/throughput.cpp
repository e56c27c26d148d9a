// Many small tasks at once, and one after another.
#include <cstdlib>

#include "bench/bench.hpp"

namespace rankpool::bench {
namespace {

std::vector<double> count_up(std::size_t numbers) {
  std::vector<double> all(numbers);
  for (std::size_t i = 0; i < numbers; ++i) all[i] = static_cast<double>(i);
  return all;
}

template <class Function>
void measure_map(const Request& request, Pool& pool, const std::string& workload, Function function,
                 const std::vector<double>& inputs, int runs, const MapOptions& options = {}) {
  if (!request.wants(workload)) return;
  const double seconds = median_seconds(runs, [&] {
    if (pool.map(function, inputs, options).back() != square(inputs.back())) std::abort();
  });
  emit(request, workload, static_cast<long>(inputs.size()), seconds, Fields().add("executors", pool.processes()));
}

}  // namespace

void measure_throughput(const Request& request, Pool& pool) {
  const std::vector<double> million = count_up(1'000'000);
  measure_map(request, pool, "map_tiny", square, million, 15);
  measure_map(request, pool, "map_tiny_fn", fn<square>, million, 15);
  measure_map(
      request, pool, "map_tiny_lambda", [](double x) { return x * x; }, million, 15);
  measure_map(request, pool, "map_unchunked", square, count_up(100'000), 5, {.chunksize = 1});
  if (!request.wants("apply_latency")) return;
  constexpr int calls = 10'000;
  const auto one_after_another = [&pool](int count) {
    for (int i = 0; i < count; ++i) pool.apply(square, 3.0);
  };
  one_after_another(500);
  emit(request, "apply_latency", calls, seconds_of([&] { one_after_another(calls); }));
}

}  // namespace rankpool::bench
