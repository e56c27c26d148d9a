// expect: by non-const reference
#include <rankpool/bind.hpp>

void shift(double& x) { x += 1; }
using Result = rankpool::detail::result_t<decltype(shift)&, double>;
Result* result = nullptr;
