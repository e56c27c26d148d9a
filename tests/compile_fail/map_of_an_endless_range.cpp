// expect: this range has no end, and the call would never return
#include <rankpool/rankpool.hpp>

double simulate(int seed);
void sweep(rankpool::Pool& pool) { pool.map(simulate, std::views::iota(0)); }
