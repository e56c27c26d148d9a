// expect: a std::function can't be sent
#include <rankpool/bind.hpp>

using Result = rankpool::detail::result_t<std::function<int(int)>, int>;
Result* result = nullptr;
