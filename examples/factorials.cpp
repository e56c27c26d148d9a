// Results of any class that Boost.Serialization can write: here integers of any size from Boost.Multiprecision.
#include <cstddef>
#include <iostream>
#include <vector>

#include <boost/multiprecision/cpp_int.hpp>
#include <boost/multiprecision/cpp_int/serialize.hpp>  // lets a cpp_int travel

#include <rankpool/rankpool.hpp>

using boost::multiprecision::cpp_int;

cpp_int factorial(unsigned n) {
  cpp_int product = 1;
  for (unsigned factor = 2; factor <= n; ++factor) product *= factor;
  return product;
}

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    const std::vector<unsigned> numbers = {5, 10, 15, 20, 100};
    const std::vector<cpp_int> factorials = pool.map(factorial, numbers);
    for (std::size_t i = 0; i < numbers.size(); ++i) std::cout << numbers[i] << "! = " << factorials[i] << '\n';
  });
}
