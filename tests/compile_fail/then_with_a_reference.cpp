// expect: the first callback given to then() is called with the result as a constant
#include <rankpool/rankpool.hpp>

void listen(const rankpool::Future<int>& future) {
  future.then([](int& result) { ++result; });
}
