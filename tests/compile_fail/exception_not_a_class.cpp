// expect: register the exception's class itself
#include <rankpool/rankpool.hpp>

void register_code() { rankpool::register_exception<int>(); }
