/// @file
/// What the workloads share: their clocks, their tasks' work, and the form of their figures, one line of JSON each.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace rankpool::bench {

/// What is to be measured, and under which name.
struct Request {
  std::string peer = "rankpool";
  int cpus = 0;                     ///< that the executors share; 0: each has one
  std::set<std::string> workloads;  ///< none: all

  [[nodiscard]] bool wants(const std::string& workload) const {
    return workloads.empty() || workloads.contains(workload);
  }
  [[nodiscard]] int cpus_of(const Pool& pool) const { return cpus != 0 ? cpus : pool.processes(); }
};

inline double square(double x) { return x * x; }

/// Of the calling thread.
double cpu_seconds();

/// Uses so much CPU time, not wall time: a task that is pre-empted does not get its work for free.
double burn(double microseconds);

/// Lengths with a heavy tail, the same at each call: a Pareto distribution (alpha 1.3) cut off at 500 times the least.
std::vector<double> heavy_tailed(std::size_t tasks, double mean);

double seconds_of(const std::function<void()>& work);

/// Median of several runs after one that warms up.
double median_seconds(int runs, const std::function<void()>& work);
double median(std::vector<double> values);

/// A figure's further fields.
class Fields {
 public:
  Fields& add(const std::string& name, double value);
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Prints a figure. @param tasks 0 where the seconds are of no task.
void emit(const Request& request, const std::string& workload, long tasks, double seconds, const Fields& fields = {});

// The workloads. Each measures those of its own that are wanted.
void measure_throughput(const Request& request, Pool& pool);
void measure_efficiency(const Request& request, Pool& pool);
void measure_granularity(const Request& request, Pool& pool);
void measure_payload(const Request& request, Pool& pool);
void measure_idleness(const Request& request, Pool& pool);
void measure_shared_objects(const Request& request, Pool& pool);

/// These have pools of their own. @returns the program's status.
int measure_starts(const Request& request, int argc, char** argv);
int measure_terminate(const Request& request, int argc, char** argv);
int measure_lives(const Request& request);
int measure_journal(const Request& request);
/// @returns whether this process is one of those that measure_lives() starts; then its status is `status`.
bool live(int argc, char** argv, int& status);

}  // namespace rankpool::bench
