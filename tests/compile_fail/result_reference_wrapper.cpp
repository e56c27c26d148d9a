// expect: the task returns a reference
#include <rankpool/bind.hpp>

std::reference_wrapper<const std::string> name(int);
using Result = rankpool::detail::result_t<decltype(name)&, int>;
Result* result = nullptr;
