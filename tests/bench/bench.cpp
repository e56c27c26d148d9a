#include "bench/bench.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <sstream>

namespace rankpool::bench {
namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t splitmix(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9E3779B97F4A7C15ULL);
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31U);
}

}  // namespace

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double burn(double microseconds) {
  const double end = cpu_seconds() + microseconds * 1e-6;
  while (cpu_seconds() < end) {
  }
  return microseconds;
}

std::vector<double> heavy_tailed(std::size_t tasks, double mean) {
  std::vector<double> lengths(tasks);
  std::uint64_t state = 20240607;
  double sum = 0;
  for (double& length : lengths) {
    const double u = (static_cast<double>(splitmix(state) >> 11U) + 0.5) * 0x1p-53;
    length = std::min(std::pow(u, -1.0 / 1.3), 500.0);
    sum += length;
  }
  for (double& length : lengths) length *= mean * static_cast<double>(tasks) / sum;
  return lengths;
}

double seconds_of(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double median_seconds(int runs, const std::function<void()>& work) {
  work();
  std::vector<double> times(static_cast<std::size_t>(runs));
  for (double& time : times) time = seconds_of(work);
  return median(std::move(times));
}

Fields& Fields::add(const std::string& name, double value) {
  std::ostringstream text;
  text << ", \"" << name << "\": " << value;
  text_ += text.str();
  return *this;
}

void emit(const Request& request, const std::string& workload, long tasks, double seconds, const Fields& fields) {
  const double each = tasks == 0 ? 0 : seconds * 1e6 / static_cast<double>(tasks);
  std::printf("{\"peer\": \"%s\", \"workload\": \"%s\", \"tasks\": %ld, \"seconds\": %.9f, \"per_task_us\": %.4f%s}\n",
              request.peer.c_str(), workload.c_str(), tasks, seconds, each, fields.text().c_str());
  std::fflush(stdout);
}

}  // namespace rankpool::bench
