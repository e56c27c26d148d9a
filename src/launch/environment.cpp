#include "launch/environment.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "launch/walltime.hpp"

namespace rankpool::launch {
namespace {

[[noreturn]] void refuse(std::string_view name, std::string_view value, std::string_view accepted) {
  throw std::invalid_argument(std::string(name) + "=" + std::string(value) + " is not understood: it must be " +
                              std::string(accepted));
}

template <class Number>
std::optional<Number> parse(std::string_view text) {
  Number value{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

std::uint64_t whole_number(std::string_view name, std::string_view text, std::string_view accepted) {
  const auto value = parse<std::uint64_t>(text);
  if (!value) refuse(name, text, accepted);
  return *value;
}

std::uint64_t count(std::string_view name, std::string_view text) {
  return whole_number(name, text, "0 (automatic) or a positive whole number");
}

void check_end_time(std::string_view name, std::string_view text) {
  constexpr std::string_view accepted = "a time in whole seconds since 1970, as `date +%s` prints it";
  if (whole_number(name, text, accepted) > latest_end_time) refuse(name, text, accepted);
}

std::uint64_t seed(std::string_view name, std::string_view text) {
  return whole_number(name, text, "a whole number from 0 to 2^64 - 1");
}

/// "65536", "512K", "64M", "2G": powers of 1024.
std::uint64_t bytes(std::string_view name, std::string_view text) {
  constexpr std::string_view suffixes = "KMGT";
  constexpr unsigned bits_per_suffix = 10;
  const std::size_t suffix = text.empty() ? std::string_view::npos : suffixes.find(text.back());
  const bool has_suffix = suffix != std::string_view::npos;
  const unsigned shift = has_suffix ? static_cast<unsigned>(suffix + 1) * bits_per_suffix : 0;
  const auto value = parse<std::uint64_t>(text.substr(0, text.size() - (has_suffix ? 1 : 0)));
  if (!value || *value > std::numeric_limits<std::uint64_t>::max() >> shift) {
    refuse(name, text, "0 (no limit) or a whole number of bytes, such as 1073741824, 1048576K, 1024M or 1G");
  }
  return *value << shift;
}

Seconds seconds(std::string_view name, std::string_view text) {
  const auto value = parse<double>(text);
  if (!value || !std::isfinite(*value) || *value < 0) refuse(name, text, "a number of seconds, such as 90 or 2.5");
  return Seconds(*value);
}

Seconds positive_seconds(std::string_view name, std::string_view text) {
  const auto value = parse<double>(text);
  if (!value || !std::isfinite(*value) || *value <= 0) {
    refuse(name, text, "a number of seconds above 0, such as 90 or 2.5");
  }
  return Seconds(*value);
}

template <class Value, std::size_t n>
using Words = std::array<std::pair<std::string_view, Value>, n>;

template <class Value, std::size_t n>
Value one_of(const Words<Value, n>& words, std::string_view name, std::string_view text) {
  std::string accepted = "one of";
  for (const auto& [word, value] : words) {
    if (word == text) return value;
    accepted += accepted.ends_with("of") ? " " : ", ";
    accepted += word;
  }
  refuse(name, text, accepted);
}

constexpr Words<bool, 2> switches{{{"0", false}, {"1", true}}};
constexpr Words<LogLevel, 3> log_levels{
    {{"quiet", LogLevel::quiet}, {"warning", LogLevel::warning}, {"info", LogLevel::info}}};
constexpr Words<Schedule, 5> schedules{{{"automatic", Schedule::automatic},
                                        {"static", Schedule::static_},
                                        {"dynamic", Schedule::dynamic},
                                        {"guided", Schedule::guided},
                                        {"factoring", Schedule::factoring}}};

struct Variable {
  std::string_view name;
  void (*read)(Settings& settings, std::string_view name, std::string_view text);
};

using Text = std::string_view;
constexpr std::array variables{
    Variable{"RANKPOOL_CHANNEL_MB", [](Settings& s, Text n, Text t) { s.channel_mb = count(n, t); }},
    Variable{"RANKPOOL_CHUNKSIZE", [](Settings& s, Text n, Text t) { s.chunksize = count(n, t); }},
    // Who watches for it looks for itself; see end_of_job().
    Variable{"RANKPOOL_END_TIME", [](Settings&, Text n, Text t) { check_end_time(n, t); }},
    Variable{"RANKPOOL_GRACE", [](Settings& s, Text n, Text t) { s.grace = seconds(n, t); }},
    Variable{"RANKPOOL_INLINE", [](Settings& s, Text n, Text t) { s.inline_tasks = one_of(switches, n, t); }},
    Variable{"RANKPOOL_LOG", [](Settings& s, Text n, Text t) { s.log = one_of(log_levels, n, t); }},
    Variable{"RANKPOOL_MAX_ATTEMPTS", [](Settings& s, Text n, Text t) { s.max_attempts = count(n, t); }},
    Variable{"RANKPOOL_MAX_TASKS_PER_CHILD", [](Settings& s, Text n, Text t) { s.max_tasks_per_child = count(n, t); }},
    Variable{"RANKPOOL_MEMORY_LIMIT", [](Settings& s, Text n, Text t) { s.memory_limit = bytes(n, t); }},
    Variable{"RANKPOOL_NAME", [](Settings& s, Text, Text t) { s.name = std::string(t); }},
    Variable{"RANKPOOL_PROCESSES", [](Settings& s, Text n, Text t) { s.processes = count(n, t); }},
    Variable{"RANKPOOL_SCHEDULE", [](Settings& s, Text n, Text t) { s.schedule = one_of(schedules, n, t); }},
    Variable{"RANKPOOL_SEED", [](Settings& s, Text n, Text t) { s.seed = seed(n, t); }},
    Variable{"RANKPOOL_TASK_TIMEOUT", [](Settings& s, Text n, Text t) { s.task_timeout = positive_seconds(n, t); }},
    Variable{"RANKPOOL_TEST_NODES", [](Settings& s, Text n, Text t) { s.test_nodes = count(n, t); }},
    Variable{"RANKPOOL_THREADS_PER_TASK", [](Settings& s, Text n, Text t) { s.threads_per_task = count(n, t); }},
    Variable{"RANKPOOL_TIMEOUT", [](Settings& s, Text n, Text t) { s.timeout = seconds(n, t); }},
};

/// Edits (insert, delete, replace a character) that make one text the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string unknown_variable(std::string_view name) {
  std::string warning = "the environment variable " + std::string(name) + " is unknown to rankpool and ignored";
  const auto* nearest = std::min_element(variables.begin(), variables.end(), [name](const auto& a, const auto& b) {
    return distance(name, a.name) < distance(name, b.name);
  });
  // Further off than this it is no slip of the pen.
  constexpr std::size_t far = 4;
  if (distance(name, nearest->name) <= far) warning += "; did you mean " + std::string(nearest->name) + "?";
  return warning;
}

}  // namespace

Settings read_settings(const char* const* environment) {
  Settings settings;
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    if (!entry.starts_with("RANKPOOL_")) continue;
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = entry.substr(0, equals);
    const std::string_view text = entry.substr(equals + 1);
    const auto* known = std::ranges::find(variables, name, &Variable::name);
    if (known == variables.end()) {
      settings.warnings.push_back(unknown_variable(name));
    } else if (!text.empty()) {
      known->read(settings, name, text);
    }
  }
  return settings;
}

}  // namespace rankpool::launch
