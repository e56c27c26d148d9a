// expect: rankpool: map and starmap take a range
#include <rankpool/rankpool.hpp>

double simulate(int seed);
void sweep(rankpool::Pool& pool) { pool.map(simulate, 100); }
