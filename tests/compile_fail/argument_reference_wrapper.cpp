// expect: a reference doesn't travel
#include <rankpool/bind.hpp>

int visit_one(std::reference_wrapper<int>);
using Result = rankpool::detail::result_t<decltype(visit_one)&, std::reference_wrapper<int>>;
Result* result = nullptr;
