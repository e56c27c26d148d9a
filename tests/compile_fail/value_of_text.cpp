// expect: a Value or an Array holds numbers, enums, trivially copyable classes, and pairs, tuples, arrays
#include <rankpool/rankpool.hpp>

rankpool::Value<std::string> text(rankpool::Pool& pool) { return pool.value<std::string>("a text"); }
