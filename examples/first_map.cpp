// The smallest rankpool program: a function, a range, and all the cores there are.
#include <iostream>
#include <numeric>
#include <ranges>
#include <vector>

#include <rankpool/rankpool.hpp>

// The midpoint rule's i-th term for pi = the integral of 4 / (1 + x^2) over [0, 1].
double term(int i) {
  const double x = (i + 0.5) / 1'000'000;
  return 4 / (1 + x * x) / 1'000'000;
}

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    const std::vector<double> terms = pool.map(term, std::views::iota(0, 1'000'000));
    std::cout << "pi = " << std::accumulate(terms.begin(), terms.end(), 0.0) << '\n';
  });
}
