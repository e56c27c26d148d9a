// expect: not a callable that can be sent
#include <rankpool/bind.hpp>

using Result = rankpool::detail::result_t<int, int>;
Result* result = nullptr;
