#include "launch/pool_settings.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <random>
#include <stdexcept>

#include <rankpool/serialization.hpp>

#include <rankpool/detail/archive.hpp>
#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/code_address.hpp>

namespace rankpool::launch {
namespace {

constexpr std::uint64_t default_attempts = 3;
constexpr Seconds default_grace{30};
constexpr Seconds longest_grace = std::chrono::hours(24 * 365);  // for the clock's sake

// With less an executor could not even say what went wrong. Mostly somebody took the unit for kilo- or megabytes.
constexpr std::uint64_t least_memory_limit = std::uint64_t{1} << 20U;

std::uint64_t choose(const Count& option, const char* name, const std::optional<std::uint64_t>& variable) {
  const std::uint64_t chosen = option.value(name);
  return chosen != 0 ? chosen : variable.value_or(0);
}

host::CallImage image_of(const Initializer& initializer) {
  host::CallImage image;
  image.kernel = detail::address_of(initializer.kernel());
  image.callable.assign(initializer.callable().begin(), initializer.callable().end());
  return image;
}

PoolSettings merge_or_throw(const PoolOptions& options, const Settings& variables) {
  PoolSettings all;
  all.name = !options.name.empty() ? options.name : variables.name.value_or(all.name);
  all.processes = choose(options.processes, "processes", variables.processes);
  all.threads_per_task = choose(options.threads_per_task, "threads_per_task", variables.threads_per_task);
  all.max_tasks_per_child = choose(options.max_tasks_per_child, "max_tasks_per_child", variables.max_tasks_per_child);
  all.max_attempts = choose(options.max_attempts, "max_attempts", variables.max_attempts);
  if (all.max_attempts == 0) all.max_attempts = default_attempts;
  if (all.max_attempts > std::numeric_limits<std::uint32_t>::max() ||
      all.threads_per_task > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument("max_attempts and threads_per_task must be below 2^32");
  }
  all.memory_limit = choose(options.memory_limit, "memory_limit", variables.memory_limit);
  if (all.memory_limit != 0 && all.memory_limit < least_memory_limit) {
    throw std::invalid_argument("memory_limit must be 0 (no limit) or at least " + std::to_string(least_memory_limit) +
                                " bytes, and is " + std::to_string(all.memory_limit));
  }
  all.seed = choose(options.seed, "seed", variables.seed);
  all.chunksize = variables.chunksize.value_or(0);
  all.test_nodes = variables.test_nodes.value_or(0);
  all.channel_bytes = variables.channel_mb.value_or(0) << 20U;
  all.schedule = variables.schedule.value_or(all.schedule);
  all.grace = options.grace.value_or(variables.grace.value_or(default_grace));
  // Written so that NaN is refused too.
  if (!(all.grace >= Seconds::zero())) {
    throw std::invalid_argument("grace must not be negative, and is " + std::to_string(all.grace.count()) + " s");
  }
  all.grace = std::min(all.grace, longest_grace);
  all.task_timeout = detail::positive_time(options.task_timeout, "task_timeout");
  if (!all.task_timeout) all.task_timeout = variables.task_timeout;
  all.timeout = variables.timeout;
  all.inline_tasks = variables.inline_tasks.value_or(false);
  all.log = variables.log.value_or(all.log);
  all.warnings = variables.warnings;
  if (!options.initializer.empty()) all.initializer = image_of(options.initializer);
  return all;
}

/// Fields in the order in which they travel; the same for both archives.
template <class Archive>
void transfer(Archive& archive, PoolSettings& s) {
  archive& s.error& s.name& s.processes& s.threads_per_task& s.max_tasks_per_child& s.memory_limit& s.seed& s.pool& s
      .test_nodes& s.channel_bytes& s.inline_tasks;
  bool has_initializer = s.initializer.has_value();
  archive& has_initializer;
  if (!has_initializer) return;
  if (!s.initializer) s.initializer.emplace();
  host::CallImage& image = *s.initializer;
  std::string callable(reinterpret_cast<const char*>(image.callable.data()), image.callable.size());
  archive& image.kernel.module& image.kernel.offset& callable;
  archive& boost::serialization::make_array(image.kernel.name.data(), image.kernel.name.size());
  const auto* bytes = reinterpret_cast<const std::byte*>(callable.data());
  image.callable.assign(bytes, bytes + callable.size());
}

}  // namespace

std::uint64_t new_pool_number() {
  constexpr std::uint64_t no_address = std::uint64_t{1} << 63U;
  std::random_device entropy;
  return no_address | std::uint64_t{entropy()} << 31U | entropy();
}

PoolSettings merge(const PoolOptions& options, const char* const* environment) noexcept {
  try {
    return merge_or_throw(options, read_settings(environment));
  } catch (const std::exception& error) {
    PoolSettings failed;
    failed.error = error.what();
    return failed;
  }
}

std::vector<std::byte> encode(const PoolSettings& settings) {
  detail::ByteBuffer buffer;
  detail::OutputArchive archive(buffer);
  PoolSettings copy = settings;
  transfer(archive, copy);
  return {buffer.data(), buffer.data() + buffer.size()};
}

PoolSettings decode_settings(const std::vector<std::byte>& bytes) {
  PoolSettings settings;
  detail::InputArchive archive(bytes);
  transfer(archive, settings);
  archive.finish();
  return settings;
}

}  // namespace rankpool::launch
