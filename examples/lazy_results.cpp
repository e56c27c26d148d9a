// Results as they come: in the order of the inputs, and in the order in which they are ready. The inputs have no end;
// no more of them are drawn than the loop needs, and a few ahead.
#include <chrono>
#include <iostream>
#include <ranges>
#include <thread>

#include <rankpool/rankpool.hpp>

/// Takes 120 ms for every third input, else 30 ms.
int slow_square(int x) {
  std::this_thread::sleep_for(std::chrono::milliseconds(x % 3 == 0 ? 120 : 30));
  return x * x;
}

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    std::cout << "imap:";
    for (const int square : pool.imap(slow_square, std::views::iota(0), {.buffersize = 8, .chunksize = 1})) {
      if (square > 60) break;  // what has not started is cancelled
      std::cout << ' ' << square << std::flush;
    }
    std::cout << "\nimap_unordered:";
    for (const int square : pool.imap_unordered(slow_square, std::views::iota(0, 8), {.chunksize = 1})) {
      std::cout << ' ' << square << std::flush;
    }
    std::cout << '\n';
  });
}
