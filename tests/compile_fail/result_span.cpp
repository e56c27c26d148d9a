// expect: the task returns a view
#include <rankpool/bind.hpp>

std::span<const double> row(int);
using Result = rankpool::detail::result_t<decltype(row)&, int>;
Result* result = nullptr;
