// expect: a pointer doesn't travel
#include <rankpool/bind.hpp>

int sum(const int*, int);
auto bound(const int* values) { return rankpool::bind(sum, values); }
