// expect: istarmap takes tuples, pairs or arrays from its range
#include <vector>

#include <rankpool/rankpool.hpp>

double simulate(int seed);
void sweep(rankpool::Pool& pool) { pool.istarmap(simulate, std::vector{1, 2, 3}); }
