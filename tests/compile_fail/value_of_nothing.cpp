// expect: a Value or an Array of a type without contents holds nothing
#include <array>

#include <rankpool/rankpool.hpp>

rankpool::Value<std::array<int, 0>> nothing(rankpool::Pool& pool) { return pool.value(std::array<int, 0>{}); }
