// expect: the initializer is called without arguments
#include <rankpool/rankpool.hpp>

void load_table(const std::string& file);
rankpool::PoolOptions options() { return {.initializer = load_table}; }
