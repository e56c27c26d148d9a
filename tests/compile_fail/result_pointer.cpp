// expect: the task returns a pointer
#include <rankpool/bind.hpp>

const char* name(int);
using Result = rankpool::detail::result_t<decltype(name)&, int>;
Result* result = nullptr;
