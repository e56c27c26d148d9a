// expect: can't be called with these arguments
#include <rankpool/bind.hpp>

int add(int, int);
using Result = rankpool::detail::result_t<decltype(add)&, int>;
Result* result = nullptr;
