// expect: an iterator doesn't travel
#include <rankpool/bind.hpp>

int visit_one(std::vector<int>::iterator);
using Result = rankpool::detail::result_t<decltype(visit_one)&, std::vector<int>::iterator>;
Result* result = nullptr;
