// expect: rankpool: imap and istarmap take a range
#include <rankpool/rankpool.hpp>

double simulate(int seed);
void sweep(rankpool::Pool& pool) { pool.imap(simulate, 100); }
