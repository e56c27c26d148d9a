// A function of several arguments: starmap unpacks tuples (pairs, arrays) into them; apply makes a single call.
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <utility>
#include <vector>

#include <rankpool/rankpool.hpp>

std::int64_t power(std::int64_t base, int exponent) {
  std::int64_t result = 1;
  for (int i = 0; i < exponent; ++i) result *= base;
  return result;
}

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    std::vector<std::pair<std::int64_t, int>> arguments;
    for (int n = 1; n <= 15; ++n) arguments.emplace_back(n, n);

    const std::vector<std::int64_t> powers = pool.starmap(power, arguments);
    for (std::size_t i = 0; i < powers.size(); ++i) {
      std::cout << arguments[i].first << '^' << arguments[i].second << " = " << powers[i] << '\n';
    }

    // A short list can be written in place.
    for (const std::int64_t result : pool.starmap(power, {{2, 10}, {2, 20}, {2, 40}})) std::cout << result << '\n';

    std::cout << "3^39 = " << pool.apply(power, 3, 39) << '\n';
  });
}
