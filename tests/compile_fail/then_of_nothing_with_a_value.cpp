// expect: the first callback given to then() is called without arguments
#include <rankpool/rankpool.hpp>

void listen(const rankpool::Future<void>& future) {
  future.then([](int) {});
}
