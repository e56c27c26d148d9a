// EP, the "embarrassingly parallel" kernel of the NAS Parallel Benchmarks (Bailey et al., RNR-94-007, 1994): pairs of
// normal deviates by Marsaglia's polar method, tallied in square annuli.
//
// The uniform deviates come from the congruence x' = 5^13 x mod 2^46. A task makes a batch of 2^16 pairs; since the
// generator can jump to any place of its sequence, no task depends on another, and the sums are those of one
// sequence whoever computes which batch.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <ranges>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <rankpool/rankpool.hpp>

namespace {

constexpr std::uint64_t multiplier = 1'220'703'125;  // 5^13
constexpr std::uint64_t seed = 271'828'183;
constexpr std::uint64_t modulus = std::uint64_t{1} << 46;
constexpr std::uint64_t pairs_per_batch = std::uint64_t{1} << 16;

struct ProblemClass {
  int log2_pairs;
  double sum_x, sum_y;  // the official results

  [[nodiscard]] std::uint64_t pairs() const { return std::uint64_t{1} << log2_pairs; }
};

const std::map<std::string, ProblemClass> classes = {
    {"S", {24, -3.247834652034740e3, -6.958407078382297e3}},
    {"W", {25, -2.863319731645753e3, -6.320053679109499e3}},
    {"A", {28, -4.295875165629892e3, -1.580732573678431e4}},
    {"B", {30, 4.033815542441498e4, -2.660669192809235e4}},
};

struct Tally {
  double sum_x = 0, sum_y = 0;
  std::array<std::uint64_t, 10> annuli{};  // annuli[l]: pairs with l <= max(|x|, |y|) < l + 1

  Tally& operator+=(const Tally& other) {
    sum_x += other.sum_x;
    sum_y += other.sum_y;
    for (std::size_t l = 0; l < annuli.size(); ++l) annuli[l] += other.annuli[l];
    return *this;
  }
};

// Unsigned products wrap modulo 2^64, a multiple of 2^46: one reduction at the end is enough, here and below.
std::uint64_t power(std::uint64_t base, std::uint64_t exponent) {
  std::uint64_t result = 1;
  for (; exponent > 0; exponent /= 2, base *= base) {
    if (exponent % 2 == 1) result *= base;
  }
  return result;
}

class Generator {
 public:
  // A generator that has already made `made` numbers.
  explicit Generator(std::uint64_t made) : x_(seed * power(multiplier, made)) {}

  // The next deviate, uniform in (0, 1).
  double operator()() {
    x_ *= multiplier;
    return static_cast<double>(static_cast<std::int64_t>(x_ % modulus)) / static_cast<double>(modulus);
  }

 private:
  std::uint64_t x_;
};

// One task.
Tally batch(std::uint64_t index) {
  Tally tally;
  Generator uniform(index * 2 * pairs_per_batch);
  for (std::uint64_t pair = 0; pair < pairs_per_batch; ++pair) {
    const double u = 2 * uniform() - 1;
    const double v = 2 * uniform() - 1;
    const double t = u * u + v * v;
    if (t > 1) continue;  // outside the unit circle
    const double scale = std::sqrt(-2 * std::log(t) / t);
    const double x = u * scale;
    const double y = v * scale;
    tally.sum_x += x;
    tally.sum_y += y;
    ++tally.annuli[static_cast<std::size_t>(std::max(std::abs(x), std::abs(y)))];
  }
  return tally;
}

struct Measurement {
  Tally total;
  double seconds = 0;
};

// Batches are added in their order, so that rounding doesn't depend on the number of executors.
Measurement measure(rankpool::Pool& pool, const ProblemClass& problem) {
  Measurement result;
  const auto start = std::chrono::steady_clock::now();
  const auto tallies = pool.map(batch, std::views::iota(std::uint64_t{0}, problem.pairs() / pairs_per_batch));
  for (const Tally& tally : tallies) result.total += tally;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

bool verified(const Tally& total, const ProblemClass& official) {
  const auto agrees = [](double value, double expected) { return std::abs((value - expected) / expected) <= 1e-8; };
  return agrees(total.sum_x, official.sum_x) && agrees(total.sum_y, official.sum_y);
}

void report(const std::string& name, const ProblemClass& problem, const Measurement& result, int executors) {
  const double numbers = 2 * static_cast<double>(problem.pairs());
  std::printf("NAS EP class %s: 2^%d pairs on %d executors\n", name.c_str(), problem.log2_pairs, executors);
  std::uint64_t gaussian_pairs = 0;
  for (const std::uint64_t count : result.total.annuli) gaussian_pairs += count;
  std::printf("  Gaussian pairs  %ju\n", static_cast<std::uintmax_t>(gaussian_pairs));
  std::printf("  sums            %.15e %.15e\n", result.total.sum_x, result.total.sum_y);
  for (std::size_t l = 0; l < result.total.annuli.size(); ++l) {
    std::printf("  annulus %zu       %ju\n", l, static_cast<std::uintmax_t>(result.total.annuli[l]));
  }
  std::printf("  time            %.3f s\n", result.seconds);
  std::printf("  Mop/s           %.2f\n", numbers / result.seconds / 1e6);
  std::printf("  verification    %s\n", verified(result.total, problem) ? "SUCCESSFUL" : "FAILED");
}

void report_speedup(double on_all, double on_one) {
  std::printf("  one executor    %.3f s\n", on_one);
  std::printf("  speedup         %.2f\n", on_one / on_all);
}

void print_json(const std::string& name, int executors, double on_all, double on_one) {
  std::printf(
      "{\"peer\": \"rankpool\", \"workload\": \"EP %s\", \"executors\": %d, \"seconds\": %.6f, "
      "\"seconds_on_one\": %.6f, \"speedup\": %.4f}\n",
      name.c_str(), executors, on_all, on_one, on_one / on_all);
}

}  // namespace

int main(int argc, char** argv) {
  // All ranks read the options, since --speedup and --json make all of them call run() twice.
  std::string name = "S";
  bool speedup = false;
  bool json = false;
  CLI::App app("NAS Parallel Benchmarks: EP");
  app.add_option("--class", name, "problem class")->check(CLI::IsMember({"S", "W", "A", "B"}))->capture_default_str();
  app.add_flag("--speedup", speedup, "run again on one executor and print the speedup");
  app.add_flag("--json", json, "print the speedup, as one line of JSON, and nothing else");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return rankpool::run(argc, argv, [&](rankpool::Pool&) { return app.exit(error); });  // said once, by the master
  }

  const ProblemClass& problem = classes.at(name);
  double seconds = 0;
  int executors = 0;
  const int status = rankpool::run(argc, argv, [&](rankpool::Pool& pool) {
    const Measurement result = measure(pool, problem);
    seconds = result.seconds;
    executors = pool.processes();
    if (!json) report(name, problem, result, executors);
    return verified(result.total, problem) ? 0 : 1;
  });
  if (!speedup && !json) return status;

  const auto alone = [&](rankpool::Pool& pool) {
    const Measurement result = measure(pool, problem);
    if (json)
      print_json(name, executors, seconds, result.seconds);
    else
      report_speedup(seconds, result.seconds);
    return verified(result.total, problem) ? status : 1;
  };
  return rankpool::run(argc, argv, alone, {.processes = 1});
}
