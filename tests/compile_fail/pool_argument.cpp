// expect: a task can't use the pool it runs in
#include <rankpool/bind.hpp>

int nested(rankpool::Pool&);
using Result = rankpool::detail::result_t<decltype(nested)&, rankpool::Pool&>;
Result* result = nullptr;
