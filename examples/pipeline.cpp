// Two streams, the output of one being the input of the other: a million items in bounded memory, for neither stream
// runs further ahead than its buffer.
#include <cstdint>
#include <iostream>
#include <ranges>

#include <rankpool/rankpool.hpp>

/// How many steps the "3n + 1" walk takes until it falls below its start.
std::uint64_t steps_below_start(std::uint64_t start) {
  std::uint64_t n = start;
  std::uint64_t steps = 0;
  while (n >= start && n > 1) {
    n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    ++steps;
  }
  return steps;
}

bool is_long(std::uint64_t steps) { return steps > 100; }

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    constexpr std::uint64_t items = 1'000'000;
    const auto starts = std::views::iota(std::uint64_t{1}, items + 1);
    auto steps = pool.imap(steps_below_start, starts, {.buffersize = 10'000});

    std::uint64_t all = 0;
    std::uint64_t long_walks = 0;
    for (const bool walk_is_long : pool.imap(is_long, steps, {.buffersize = 10'000})) {
      ++all;
      long_walks += walk_is_long ? 1 : 0;
    }
    std::cout << long_walks << " of " << all << " walks take more than 100 steps to fall below their start\n";
  });
}
