// What the other files here do wrong, done right: this one compiles.
#include <ranges>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

double simulate(double temperature, const std::vector<int>& seeds, const std::string& name);
auto bound(double temperature) { return rankpool::bind(simulate, temperature); }
using Result = rankpool::detail::result_t<decltype(simulate)&, double, std::vector<int>, std::string>;
Result result = 0;

double sum(int a, double b);
double square(int x);
void calls(rankpool::Pool& pool) {
  pool.map(square, std::views::iota(0, 100));
  pool.map(sum, std::views::iota(0), std::vector{1.5, 2.5});
  pool.starmap(sum, std::vector<std::pair<int, double>>{{1, 1.5}, {2, 2.5}});
}

void listen(const std::vector<rankpool::Future<int>>& futures, const rankpool::Future<void>& nothing) {
  futures.front().then([](const int&) {}, [](std::exception_ptr) {});
  nothing.then([] {}, [](const std::exception_ptr&) {});
  rankpool::wait(futures);
}

struct Diverged : std::runtime_error {
  explicit Diverged(int s = 0) : std::runtime_error("diverged"), step(s) {}
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& step;
  }
  int step;
};
struct Stalled {
  int step;
};

void load_table(const std::string& file);
int main(int argc, char** argv) {
  rankpool::register_exception<Diverged>();
  rankpool::register_exception<Stalled>();
  return rankpool::run(argc, argv, calls, {.initializer = rankpool::bind(load_table, "table.csv")});
}
