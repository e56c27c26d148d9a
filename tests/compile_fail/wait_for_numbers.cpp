// expect: wait and as_completed take a range of futures
#include <vector>

#include <rankpool/rankpool.hpp>

void finish(const std::vector<int>& numbers) { rankpool::wait(numbers); }
