// expect: or a span of non-const
#include <rankpool/bind.hpp>

double first(std::span<double> values) { return values[0]; }
using Result = rankpool::detail::result_t<decltype(first)&, std::vector<double>>;
Result* result = nullptr;
