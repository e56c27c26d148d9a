// expect: an outcome holds a value: name the type
#include <rankpool/rankpool.hpp>

bool failed(const rankpool::Outcome<const double>& outcome) { return !outcome.has_value(); }
