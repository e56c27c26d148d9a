// expect: a std::function doesn't travel
#include <rankpool/bind.hpp>

int call(std::function<int()>);
using Result = rankpool::detail::result_t<decltype(call)&, std::function<int()>>;
Result* result = nullptr;
