// expect: rankpool::bind(f, value)
#include <rankpool/bind.hpp>

void ship(const std::string& prefix) {
  auto task = [prefix](int x) { return prefix.size() + static_cast<unsigned>(x); };
  using Result = rankpool::detail::result_t<decltype(task), int>;
  (void)sizeof(Result);
}
