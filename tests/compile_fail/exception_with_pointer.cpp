// expect: this exception holds a pointer or a view
#include <rankpool/rankpool.hpp>

struct Diverged {
  int step;
  const char* reason;
};
void register_diverged() { rankpool::register_exception<Diverged>(); }
