// expect: a final class can't be registered
#include <rankpool/rankpool.hpp>

struct Diverged final : std::runtime_error {
  using std::runtime_error::runtime_error;
};
void register_diverged() { rankpool::register_exception<Diverged>(); }
