// expect: starmap takes a range of tuples, pairs or arrays
#include <rankpool/rankpool.hpp>

double simulate(int seed);
void sweep(rankpool::Pool& pool) { pool.starmap(simulate, std::vector{1, 2, 3}); }
