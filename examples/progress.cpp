// Futures as they finish, with a line that tells how far it is: estimates of pi by throwing darts, the more darts the
// longer it takes.
#include <cstdint>
#include <iostream>
#include <random>
#include <vector>

#include <rankpool/rankpool.hpp>

struct Estimate {
  std::uint64_t darts;
  double pi;
};

Estimate throw_darts(std::uint64_t darts) {
  std::mt19937_64 generator(darts);
  std::uniform_real_distribution<double> position(-1, 1);
  std::uint64_t inside = 0;
  for (std::uint64_t i = 0; i < darts; ++i) {
    const double x = position(generator);
    const double y = position(generator);
    inside += x * x + y * y < 1 ? 1 : 0;
  }
  return {darts, 4.0 * static_cast<double>(inside) / static_cast<double>(darts)};
}

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    std::vector<rankpool::Future<Estimate>> futures;
    for (std::uint64_t darts = 4'000'000; darts >= 1000; darts /= 2) futures.push_back(pool.submit(throw_darts, darts));

    std::size_t finished = 0;
    for (const auto& future : rankpool::as_completed(futures)) {
      const Estimate estimate = future.get();
      std::cout << ++finished << '/' << futures.size() << ": " << estimate.darts << " darts, pi = " << estimate.pi
                << std::endl;
    }
  });
}
