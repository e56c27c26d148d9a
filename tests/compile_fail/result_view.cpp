// expect: the task returns a view
#include <rankpool/bind.hpp>

std::string_view name(int);
using Result = rankpool::detail::result_t<decltype(name)&, int>;
Result* result = nullptr;
