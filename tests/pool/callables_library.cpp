#include "pool/callables_library.hpp"

namespace {
int negate(int x) { return -x; }
}  // namespace

int add_one(int x) { return x + 1; }

int twice_in_library(int x) { return 2 * x; }

int (*hidden_function())(int) { return negate; }

extern "C" int add_two(int x) { return x + 2; }
