// expect: a pointer doesn't travel
#include <rankpool/bind.hpp>

struct Grid {
  double spacing[3];
  struct Cells {
    int count;
    double* data;
  } cells;
};
double total(std::vector<Grid>);
using Result = rankpool::detail::result_t<decltype(total)&, std::vector<Grid>>;
Result* result = nullptr;
