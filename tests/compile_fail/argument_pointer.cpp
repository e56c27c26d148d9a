// expect: a pointer doesn't travel
#include <rankpool/bind.hpp>

int sum(const int*);
using Result = rankpool::detail::result_t<decltype(sum)&, const int*>;
Result* result = nullptr;
