// The pool's costs, one JSON line per figure:
//
//   bench_workloads [figure...]        ./bench_workloads map apply; under mpirun the same
//
// map       x*x over 1,000,000 doubles, default chunks
// dispatch  the same over 100,000, chunksize 1
// apply     one task after another
// work      20,000 tasks of 100 us, default chunks and chunksize 1: efficiency
// heavy     the same total, heavy-tailed lengths
// payload   500 tasks, 1 MB there and back
// life      a whole ./program: pool made and ended, and the same with a first result (./program only); the increase is
//           that over an empty program of the same links
// idle      CPU time of all processes while the pool is open and idle for 3 s
// terminate terminate() while every executor runs a task that ignores all signals and never ends
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

using Clock = std::chrono::steady_clock;

double square(double x) { return x * x; }

double thread_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// CPU time, not wall time: a task that is pre-empted does not get its work for free.
double burn(double microseconds) {
  const double end = thread_cpu_seconds() + microseconds * 1e-6;
  while (thread_cpu_seconds() < end) {
  }
  return microseconds;
}

std::vector<double> echo(const std::vector<double>& values) { return values; }

double seconds_of(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Median of several runs after one that warms up.
double median_seconds(int runs, const std::function<void()>& work) {
  work();
  std::vector<double> times(static_cast<std::size_t>(runs));
  for (double& time : times) time = seconds_of(work);
  std::ranges::sort(times);
  return times[times.size() / 2];
}

void emit(int executors, const char* workload, long tasks, double seconds, const std::string& extra = {}) {
  std::printf(
      "{\"peer\": \"rankpool\", \"workload\": \"%s\", \"tasks\": %ld, \"seconds\": %.6f, \"per_task_us\": %.4f, "
      "\"executors\": %d%s}\n",
      workload, tasks, seconds, seconds * 1e6 / static_cast<double>(tasks), executors, extra.c_str());
  std::fflush(stdout);
}

void emit(const rankpool::Pool& pool, const char* workload, long tasks, double seconds, const std::string& extra = {}) {
  emit(pool.processes(), workload, tasks, seconds, extra);
}

void map(rankpool::Pool& pool) {
  std::vector<double> input(1'000'000);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<double>(i);
  const auto run = [&](const auto& f) {
    return median_seconds(9, [&] {
      if (pool.map(f, input).back() != square(input.back())) std::abort();
    });
  };
  emit(pool, "W1", 1'000'000, run(square), ", \"callable\": \"function\"");
  emit(pool, "W1", 1'000'000, run(rankpool::fn<square>), ", \"callable\": \"fn\"");
}

void dispatch(rankpool::Pool& pool) {
  const std::vector<double> input(100'000, 3.0);
  emit(pool, "W2", 100'000, median_seconds(9, [&] { pool.map(square, input, {.chunksize = 1}); }));
}

void apply(rankpool::Pool& pool) {
  constexpr int calls = 20'000;
  emit(pool, "W3", calls, median_seconds(5, [&] {
         for (int i = 0; i < calls; ++i) pool.apply(square, 2.0);
       }));
}

void efficiency(rankpool::Pool& pool, const char* workload, const std::vector<double>& costs) {
  double total = 0;
  for (const double cost : costs) total += cost * 1e-6;
  for (const int chunksize : {0, 1}) {
    const double seconds = median_seconds(3, [&] { pool.map(burn, costs, {.chunksize = chunksize}); });
    const double efficiency = total / (seconds * pool.processes());
    emit(pool, workload, static_cast<long>(costs.size()), seconds,
         ", \"chunksize\": " + std::to_string(chunksize) + ", \"efficiency\": " + std::to_string(efficiency));
  }
}

void work(rankpool::Pool& pool) { efficiency(pool, "W4", std::vector<double>(20'000, 100.0)); }

std::uint64_t splitmix(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9E3779B97F4A7C15ULL);
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31U);
}

// Truncated Pareto (alpha 1.3, at most 500 times the least), scaled to a mean of 100 us.
void heavy(rankpool::Pool& pool) {
  std::vector<double> costs(20'000);
  std::uint64_t state = 20240607;
  double sum = 0;
  for (double& cost : costs) {
    const double u = (static_cast<double>(splitmix(state) >> 11U) + 0.5) * 0x1p-53;
    cost = std::min(std::pow(u, -1.0 / 1.3), 500.0);
    sum += cost;
  }
  for (double& cost : costs) cost *= 100.0 * static_cast<double>(costs.size()) / sum;
  efficiency(pool, "W4b", costs);
}

void payload(rankpool::Pool& pool) {
  constexpr int tasks = 500;
  constexpr std::size_t doubles = 131'072;
  const std::vector<std::vector<double>> input(tasks, std::vector<double>(doubles, 1.5));
  const double seconds = median_seconds(5, [&] { pool.map(echo, input); });
  const double gigabytes = 2.0 * tasks * doubles * sizeof(double) * 1e-9;
  emit(pool, "W5", tasks, seconds, ", \"gb_per_s\": " + std::to_string(gigabytes / seconds));
}

/// CPU seconds used so far by `pid` and all that descend from it.
double cpu_of_tree(int pid) {
  double seconds = 0;
  std::ifstream stat("/proc/" + std::to_string(pid) + "/schedstat");
  double nanoseconds = 0;
  if (stat >> nanoseconds) seconds += nanoseconds * 1e-9;
  std::ifstream children("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  for (int child = 0; children >> child;) seconds += cpu_of_tree(child);
  return seconds;
}

void idle(rankpool::Pool& pool) {
  pool.apply(square, 1.0);
  const int root = std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr ? getppid() : getpid();
  const double before = cpu_of_tree(root);
  std::this_thread::sleep_for(std::chrono::seconds(3));
  emit(pool, "W7", 1, cpu_of_tree(root) - before);
}

/// Says in a file that it runs.
void never_end(const std::string& path) {
  for (int signal = 1; signal < NSIG; ++signal) std::signal(signal, SIG_IGN);
  std::ofstream(path, std::ios::app) << '.' << std::flush;
  for (volatile std::uint64_t turns = 0;;) turns = turns + 1;
}

double seconds_of_terminate(rankpool::Pool& pool) {
  const std::string path = "/tmp/bench_terminate_" + std::to_string(getpid());
  const auto executors = static_cast<std::size_t>(pool.processes());
  const auto call = pool.map_async(never_end, std::vector(executors, path), {.chunksize = 1});
  std::error_code not_yet;
  while (std::filesystem::file_size(path, not_yet) != executors)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const double seconds = seconds_of([&] { pool.terminate(); });
  std::filesystem::remove(path);
  return seconds;
}

/// Each time a pool of its own, on all ranks alike.
int terminate(int argc, char** argv) {
  constexpr std::size_t runs = 11;
  std::vector<double> times;
  for (std::size_t run = 0; run < runs; ++run) {
    const int status = rankpool::run(argc, argv, [&](rankpool::Pool& pool) {
      times.push_back(seconds_of_terminate(pool));
      if (times.size() != runs) return;
      std::ranges::sort(times);
      emit(pool, "terminate", 1, times[runs / 2], ", \"worst_ms\": " + std::to_string(times.back() * 1e3));
    });
    if (status != EXIT_SUCCESS) return status;
  }
  return EXIT_SUCCESS;
}

constexpr const char* empty_life = "--empty-life";
constexpr const char* pool_life = "--pool-life";
constexpr const char* first_result_life = "--first-result-life";

double seconds_of_life(const char* program, const char* life) {
  return seconds_of([&] {
    std::array<char*, 3> arguments{const_cast<char*>(program), const_cast<char*>(life), nullptr};
    pid_t pid = 0;
    int status = 0;
    if (posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, arguments.data(), environ) != 0 ||
        waitpid(pid, &status, 0) != pid || status != 0) {
      std::abort();
    }
  });
}

/// Before this program's own pool, and the lives in turn, since the machine's mood changes.
void life(const char* program) {
  constexpr std::size_t runs = 41;
  const std::array lives{empty_life, pool_life, first_result_life};
  std::array<std::vector<double>, lives.size()> seconds;
  for (std::size_t run = 0; run < runs; ++run) {
    for (std::size_t i = 0; i < lives.size(); ++i) seconds[i].push_back(seconds_of_life(program, lives[i]));
  }
  for (auto& times : seconds) std::ranges::sort(times);
  const auto emit_life = [&](std::size_t i, const char* what) {
    const double median = seconds[i][runs / 2];
    const double increase = median - seconds[0][runs / 2];
    emit(static_cast<int>(std::thread::hardware_concurrency()), "W6", 1, median,
         ", \"life\": \"" + std::string(what) + "\", \"increase_ms\": " + std::to_string(increase * 1e3));
  };
  emit_life(1, "empty pool");
  emit_life(2, "first result");
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::pair<std::string, std::function<void(rankpool::Pool&)>>> figures{
      {"map", map},     {"dispatch", dispatch}, {"apply", apply}, {"work", work},
      {"heavy", heavy}, {"payload", payload},   {"idle", idle}};
  const std::set<std::string> wanted(argv + 1, argv + argc);
  if (wanted.contains(empty_life)) return EXIT_SUCCESS;
  if (wanted.contains(pool_life)) return rankpool::run(argc, argv, [](rankpool::Pool&) {});
  if (wanted.contains(first_result_life)) {
    return rankpool::run(argc, argv, [](rankpool::Pool& pool) { pool.apply(square, 2.0); });
  }
  std::set<std::string> unknown = wanted;
  unknown.erase("life");
  unknown.erase("terminate");
  std::string names = "life, terminate";
  for (const auto& [name, figure] : figures) {
    unknown.erase(name);
    names += ", " + name;
  }
  const bool all = wanted.empty();
  const bool launched = std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr;
  if (unknown.empty() && !launched && (all || wanted.contains("life"))) {
    life(argv[0]);
    if (wanted.size() == 1) return EXIT_SUCCESS;
  }
  if (unknown.empty() && (all || wanted.contains("terminate"))) {
    const int status = terminate(argc, argv);
    if (status != EXIT_SUCCESS || wanted.size() == 1) return status;
  }
  return rankpool::run(argc, argv, [&](rankpool::Pool& pool) {
    if (!unknown.empty()) {
      throw std::invalid_argument("there is no figure " + *unknown.begin() + "; the figures are " + names);
    }
    for (const auto& [name, figure] : figures) {
      if (all || wanted.contains(name)) figure(pool);
    }
  });
}
