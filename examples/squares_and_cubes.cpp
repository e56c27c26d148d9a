// Two maps over the same inputs: results come back in the order of the inputs, whoever computed them.
#include <cstddef>
#include <iomanip>
#include <iostream>
#include <vector>

#include <rankpool/rankpool.hpp>

int square(int x) { return x * x; }

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    const std::vector<int> numbers = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    const std::vector<int> squares = pool.map(square, numbers);
    const std::vector<int> cubes = pool.map([](int x) { return x * x * x; }, numbers);  // a lambda does as well

    std::cout << "   x  x^2   x^3\n";
    for (std::size_t i = 0; i < squares.size(); ++i) {
      std::cout << std::setw(4) << numbers[i] << std::setw(5) << squares[i] << std::setw(6) << cubes[i] << '\n';
    }
  });
}
