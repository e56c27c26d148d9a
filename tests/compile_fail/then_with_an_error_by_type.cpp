// expect: the second callback given to then() is called with a std::exception_ptr
#include <stdexcept>

#include <rankpool/rankpool.hpp>

void listen(const rankpool::Future<int>& future) {
  future.then([](int) {}, [](const std::runtime_error&) {});
}
