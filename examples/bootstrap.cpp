// How sure is a fitted line? Bootstrap: fit it again and again to samples drawn with replacement from the data, and see
// how much the fits differ (Efron & Tibshirani, An Introduction to the Bootstrap, chapters 9 and 13).
//
//   example_bootstrap examples/data/forbes.csv
//
// Each replicate is a task with a seed of its own, so the result is the same on any number of executors.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <random>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>

#include <rankpool/rankpool.hpp>

namespace {

struct Observation {
  double x, y;
};

struct Line {
  double slope, intercept;
};

using Sample = std::vector<Observation>;

bool determines_a_line(const Sample& sample) {
  return std::ranges::any_of(sample, [&](const Observation& each) { return each.x != sample.front().x; });
}

// Least squares, about the means for the sake of accuracy.
Line fit(const Sample& sample) {
  Observation mean{0, 0};
  for (const auto& [x, y] : sample) {
    mean.x += x / static_cast<double>(sample.size());
    mean.y += y / static_cast<double>(sample.size());
  }
  double sxx = 0;
  double sxy = 0;
  for (const auto& [x, y] : sample) {
    sxx += (x - mean.x) * (x - mean.x);
    sxy += (x - mean.x) * (y - mean.y);
  }
  return {sxy / sxx, mean.y - sxy / sxx * mean.x};
}

// One task: the fit to the replicate-th resampling of the data. (With few data all x may be the same: draw again.)
Line fit_to_resampled(const Sample& data, std::uint32_t seed, std::uint32_t replicate) {
  std::seed_seq seeds{seed, replicate};
  std::mt19937_64 random(seeds);
  std::uniform_int_distribution<std::size_t> any(0, data.size() - 1);
  Sample sample(data.size());
  do {
    for (Observation& each : sample) each = data[any(random)];
  } while (!determines_a_line(sample));
  return fit(sample);
}

struct Table {
  std::string x_name, y_name;
  Sample rows;
};

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

// A finite number and nothing else.
bool parse_number(std::string_view text, double& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(number);
}

// A line of column names, then two numbers a line. Empty lines and lines that start with '#' don't count.
Table read_csv(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::system_error(errno, std::generic_category(), path);

  Table table;
  std::size_t line_number = 0;
  const auto fail = [&](const std::string& problem) {
    throw std::runtime_error(path + ":" + std::to_string(line_number) + ": " + problem);
  };
  for (std::string text; std::getline(file, text);) {
    ++line_number;
    const std::string line(trim(text));
    if (line.empty() || line.starts_with('#')) continue;

    const std::size_t comma = line.find(',');
    if (comma == std::string::npos) fail("two columns separated by a comma are expected, not \"" + line + '"');
    const std::string_view left = trim(std::string_view(line).substr(0, comma));
    const std::string_view right = trim(std::string_view(line).substr(comma + 1));
    Observation row{};
    const bool numbers = parse_number(left, row.x) && parse_number(right, row.y);
    if (table.x_name.empty()) {
      if (numbers || left.empty() || right.empty()) fail("two column names are expected, not \"" + line + '"');
      table.x_name = left;
      table.y_name = right;
    } else {
      if (!numbers) fail("two numbers are expected, not \"" + line + '"');
      table.rows.push_back(row);
    }
  }
  if (file.bad()) throw std::runtime_error(path + ": cannot be read");
  if (line_number == 0) throw std::runtime_error(path + ":1: the file is empty");
  if (table.rows.empty()) fail("the file ends without data");
  if (!determines_a_line(table.rows)) fail("a line needs two different values of " + table.x_name);
  return table;
}

// The p-quantile, interpolated between the values on both sides.
double quantile(const std::vector<double>& sorted, double p) {
  const double position = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const auto above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], position - static_cast<double>(below));
}

void print(const char* name, double estimate, const std::vector<Line>& fits, double Line::*parameter) {
  std::vector<double> values;
  for (const Line& each : fits) values.push_back(each.*parameter);
  std::ranges::sort(values);
  std::printf("%-10s %12.5f    [%.5f, %.5f]\n", name, estimate, quantile(values, 0.025), quantile(values, 0.975));
}

}  // namespace

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [argc, argv](rankpool::Pool& pool) {
    std::string path;
    std::uint32_t replicates = 10'000;
    std::uint32_t seed = 1;
    CLI::App app("Bootstrap confidence intervals of a line through the data of a CSV file");
    app.add_option("file", path, "CSV file of two columns, x and y, with their names in the first line")->required();
    app.add_option("--replicates", replicates, "number of bootstrap samples")
        ->check(CLI::Range(1, 100'000'000))
        ->capture_default_str();
    app.add_option("--seed", seed, "seed of the random numbers")->capture_default_str();
    CLI11_PARSE(app, argc, argv)

    const Table table = read_csv(path);  // what it throws ends the run: the message is printed, the status is 1
    const Line line = fit(table.rows);
    // The data are the same for all tasks: bind sends them once to each node, not with every task.
    const std::vector<Line> fits =
        pool.map(rankpool::bind(fit_to_resampled, table.rows, seed), std::views::iota(std::uint32_t{0}, replicates));

    std::printf("%s against %s: %zu observations, %zu replicates\n\n", table.y_name.c_str(), table.x_name.c_str(),
                table.rows.size(), fits.size());
    std::printf("               estimate    95 %% confidence interval\n");
    print("slope", line.slope, fits, &Line::slope);
    print("intercept", line.intercept, fits, &Line::intercept);
    return 0;
  });
}
