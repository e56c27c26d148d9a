// expect: holds values that are not trivially copyable
#include <rankpool/bind.hpp>

auto bound(std::string prefix) {
  return rankpool::bind([prefix](int x, int y) { return prefix.size() + static_cast<unsigned>(x + y); }, 1);
}
