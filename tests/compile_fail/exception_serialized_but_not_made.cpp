// expect: an exception with a serialize function needs a constructor
#include <rankpool/rankpool.hpp>

struct Diverged : std::runtime_error {
  Diverged(int s, double r) : std::runtime_error("diverged"), step(s), residual(r) {}
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& step& residual;
  }
  int step;
  double residual;
};
void register_diverged() { rankpool::register_exception<Diverged>(); }
