// Megabytes there and back.
#include <cstdlib>
#include <ranges>

#include "bench/bench.hpp"

namespace rankpool::bench {
namespace {

using Payload = std::vector<double>;

Payload add_one(Payload values) {
  for (double& value : values) value += 1;
  return values;
}

constexpr std::size_t tasks = 500;
constexpr std::size_t doubles = 131'072;

template <class Work>
void measure(const Request& request, const std::string& workload, const Work& work) {
  const double seconds = median_seconds(3, work);
  const double megabytes = 2.0 * tasks * doubles * sizeof(double) * 1e-6;
  emit(request, workload, tasks, seconds, Fields().add("MBps", megabytes / seconds));
}

void expect(const Payload& values) {
  if (values.back() != 2.5) std::abort();
}

}  // namespace

void measure_payload(const Request& request, Pool& pool) {
  if (request.wants("payload_1MB")) {
    const std::vector<Payload> inputs(tasks, Payload(doubles, 1.5));
    measure(request, "payload_1MB", [&] { expect(pool.map(add_one, inputs).back()); });
  }
  if (!request.wants("payload_1MB_reuse")) return;
  // Few inputs, and results whose memory is used again.
  const std::vector<Payload> inputs(4, Payload(doubles, 1.5));
  const auto in_turn = std::views::iota(std::size_t{0}, tasks) |
                       std::views::transform([&inputs](std::size_t i) -> const Payload& { return inputs[i % 4]; });
  measure(request, "payload_1MB_reuse", [&] {
    for (const Payload& result : pool.imap_unordered(add_one, in_turn)) expect(result);
  });
}

}  // namespace rankpool::bench
