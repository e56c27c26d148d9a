// A pool whose shared memory can't grow: what doesn't fit is the error of the call or of the task, and nothing else is
// harmed.
//
//   CHANNEL_MB=<megabytes that can be had> channel nothing|inputs|results|exceptions
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <ranges>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

constexpr std::size_t megabyte = std::size_t{1} << 20U;

off_t budget() {
  const char* megabytes = std::getenv("CHANNEL_MB");
  return megabytes == nullptr ? 0 : std::strtol(megabytes, nullptr, 10) << 20;
}

std::atomic<off_t> left = budget();

}  // namespace

/// In the place of the C library's, which the pool reserves its memory by.
extern "C" int fallocate(int file, int mode, off_t offset, off_t length) {
  if ((mode & FALLOC_FL_PUNCH_HOLE) != 0) {
    left += length;
  } else if (left.fetch_sub(length) < length) {
    left += length;
    errno = ENOSPC;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fallocate, file, mode, offset, length));
}

namespace {

void expect_right(rankpool::Pool& pool) {
  const auto results = pool.map([](int i) { return i + 1; }, std::views::iota(0, 1000));
  for (int i = 0; i < 1000; ++i) {
    if (results.at(static_cast<std::size_t>(i)) != i + 1) throw std::runtime_error("a result is wrong");
  }
}

/// Says what the call ended in.
template <class Call>
void try_out(const Call& call) {
  try {
    call();
    std::cout << "it worked" << std::endl;
  } catch (const std::exception& error) {
    std::cout << "caught: " << error.what() << std::endl;
  }
}

/// @param bad the task that can't have what it wants.
void expect_lost_alone(const auto& outcomes, std::size_t bad) {
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (outcomes[i].has_value() == (i == bad)) throw std::runtime_error("task " + std::to_string(i) + " is not right");
  }
  try_out([&] { std::rethrow_exception(outcomes[bad].exception()); });
}

void send_inputs(rankpool::Pool& pool) {
  const std::vector<std::vector<char>> inputs(4, std::vector<char>(100 * megabyte));
  const auto size = [](const std::vector<char>& input) { return input.size(); };
  try_out([&] { (void)pool.map(size, inputs); });
  try_out([&] { (void)pool.map_async(size, inputs).get(); });
  try_out([&] { (void)pool.apply(size, inputs[0]); });
}

void receive_results(rankpool::Pool& pool) {
  const auto task = [](int i) { return std::vector<char>(i == 7 ? 100 * megabyte : 10); };
  expect_lost_alone(pool.map_outcomes(task, std::views::iota(0, 20), {.chunksize = 5}), 7);
}

/// With causes, each as long as texts may be.
void nest(int depth) {
  try {
    if (depth > 0) nest(depth - 1);
  } catch (...) {
    std::throw_with_nested(std::runtime_error(std::string(60'000, 'n')));
  }
  throw std::runtime_error(std::string(60'000, 'n'));
}

void receive_exceptions(rankpool::Pool& pool) {
  const auto task = [](int i) {
    if (i == 7) nest(60);
    return i;
  };
  left = 0;
  const std::vector<std::vector<char>> fill(1, std::vector<char>(megabyte / 4));
  expect_lost_alone(pool.map_outcomes(task, std::views::iota(0, 20), {.chunksize = 5}), 7);
}

void play(rankpool::Pool& pool, const std::string& what) {
  expect_right(pool);
  if (what == "inputs") send_inputs(pool);
  if (what == "results") receive_results(pool);
  if (what == "exceptions") receive_exceptions(pool);
  expect_right(pool);
  std::cout << "right" << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "nothing";
  return rankpool::run(argc, argv, [&](rankpool::Pool& pool) { play(pool, what); }, {.processes = 3});
}
