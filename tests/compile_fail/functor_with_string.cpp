// expect: a functor may have a serialize function instead
#include <rankpool/bind.hpp>

struct Label {
  std::string prefix;
  std::string operator()(int number) const { return prefix + std::to_string(number); }
};
using Result = rankpool::detail::result_t<Label, int>;
Result* result = nullptr;
