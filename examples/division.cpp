// What happens when a task fails. An exception is thrown again on the master as the type it was; a crash costs that
// one task and arrives as rankpool::WorkerLost; the other tasks' results are there all the same.
#include <csignal>
#include <cstddef>
#include <iostream>
#include <stdexcept>
#include <vector>

#include <rankpool/rankpool.hpp>

// Checks its argument, as it should.
int careful(int divisor) {
  if (divisor == 0) throw std::invalid_argument("division by zero");
  return 60 / divisor;
}

// Doesn't check. In C++ an integer division by zero is no exception: on x86 the processor traps, and the signal SIGFPE
// kills the process. `volatile` keeps the compiler from reasoning about a division that can't be; the attribute keeps
// UBSan, where it is on, from answering before the processor does.
[[gnu::no_sanitize("integer-divide-by-zero")]] int careless(int divisor) {
  const volatile int denominator = divisor;
#if !defined(__x86_64__) && !defined(__i386__)
  if (denominator == 0) std::raise(SIGFPE);  // ARM, for one, doesn't trap: 60 / 0 is 0 there
#endif
  return 60 / denominator;
}

void print(const std::vector<int>& divisors, const std::vector<rankpool::Outcome<int>>& outcomes) {
  for (std::size_t i = 0; i < divisors.size(); ++i) {
    std::cout << "  60 / " << divisors[i] << ": ";
    try {
      std::cout << outcomes[i].value() << '\n';  // throws the task's exception if it has one
    } catch (const std::invalid_argument& error) {
      std::cout << "std::invalid_argument: " << error.what() << '\n';
    } catch (const rankpool::WorkerLost& error) {
      std::cout << "rankpool::WorkerLost: " << error.what() << '\n';
    }
  }
}

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    const std::vector<int> divisors = {1, 2, 0, 3};

    std::cout << "map throws what the task threw:\n";
    try {
      for (const int quotient : pool.map(careful, divisors)) std::cout << "  " << quotient << '\n';
    } catch (const std::invalid_argument& error) {
      std::cout << "  caught std::invalid_argument: " << error.what() << '\n';
    }

    std::cout << "map_outcomes keeps every result, value or error:\n";
    print(divisors, pool.map_outcomes(careful, divisors));

    // A task whose executor died is tried again, three times in all by default. This one would die each time.
    std::cout << "and a task that crashes takes nothing with it:\n";
    print(divisors, pool.map_outcomes(careless, divisors, {.max_attempts = 1}));

    std::cout << "the pool goes on: 60 / 5 = " << pool.apply(careful, 5) << '\n';
  });
}
