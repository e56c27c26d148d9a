// The primes below N, counted in ranges made by hand: each task sieves one range of numbers on its own.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <numeric>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <rankpool/rankpool.hpp>

using Number = std::int64_t;

// The sieve of Eratosthenes.
std::vector<Number> primes_up_to(Number last) {
  std::vector<char> composite(static_cast<std::size_t>(last + 1));
  std::vector<Number> primes;
  for (Number n = 2; n <= last; ++n) {
    if (composite[static_cast<std::size_t>(n)]) continue;
    primes.push_back(n);
    for (Number multiple = n * n; multiple <= last; multiple += n) composite[static_cast<std::size_t>(multiple)] = 1;
  }
  return primes;
}

Number square_root(Number n) {
  Number root = 0;
  for (Number bit = Number{1} << 20; bit > 0; bit /= 2) {
    if ((root + bit) * (root + bit) <= n) root += bit;
  }
  return root;
}

// The same sieve for the odd numbers of [begin, end), begin being even: entry i stands for the number begin + 1 + 2 i.
// In the first range entry 0, the number 1, is counted in place of the only even prime.
Number count_primes(Number begin, Number end) {
  if (end <= 2) return 0;
  std::vector<char> composite(static_cast<std::size_t>((end - begin) / 2));
  for (const Number prime : primes_up_to(square_root(end))) {
    if (prime == 2) continue;
    Number multiple = std::max(prime * prime, (begin + prime - 1) / prime * prime);
    if (multiple % 2 == 0) multiple += prime;
    for (auto i = static_cast<std::size_t>((multiple - begin) / 2); i < composite.size();
         i += static_cast<std::size_t>(prime)) {
      composite[i] = 1;
    }
  }
  return std::count(composite.begin(), composite.end(), 0);
}

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [argc, argv](rankpool::Pool& pool) {
    constexpr Number largest = 1'000'000'000'000;
    constexpr Number width = 1 << 20;

    Number limit = 10'000'000;
    CLI::App app("Counts the primes below N");
    app.add_option("N", limit, "where to stop")
        ->check(CLI::TypeValidator<Number>("INT"))
        ->check(CLI::Range(Number{0}, largest))
        ->capture_default_str();
    CLI11_PARSE(app, argc, argv)

    std::vector<std::pair<Number, Number>> ranges;
    for (Number begin = 0; begin < limit; begin += width) ranges.emplace_back(begin, std::min(begin + width, limit));

    const std::vector<Number> counts = pool.starmap(count_primes, ranges);
    std::cout << std::accumulate(counts.begin(), counts.end(), Number{0}) << " primes below " << limit << '\n';
    return 0;
  });
}
