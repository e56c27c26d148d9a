// The smallest program of a user of rankpool; it ends with status 0 if a map over three numbers is right.
#include <vector>

#include <rankpool/rankpool.hpp>

double square(double x) { return x * x; }

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    return pool.map(square, std::vector<double>{1, 2, 3}) == std::vector<double>{1, 4, 9} ? 0 : 1;
  });
}
