// expect: is not trivially copyable and has no serialize function
#include <rankpool/bind.hpp>

struct Config {
  std::string name;
  int steps;
};
int simulate(const Config&);
using Result = rankpool::detail::result_t<decltype(simulate)&, Config>;
Result* result = nullptr;
