// expect: this exception can't be made anew at the master
#include <rankpool/rankpool.hpp>

struct Diverged : std::runtime_error {
  explicit Diverged(int s) : std::runtime_error("diverged"), step(s) {}
  int step;
};
void register_diverged() { rankpool::register_exception<Diverged>(); }
