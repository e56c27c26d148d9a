// What the other files here do wrong, done right: this one compiles.
#include <string>
#include <vector>

#include <rankpool/bind.hpp>

double simulate(double temperature, const std::vector<int>& seeds, const std::string& name);
auto bound(double temperature) { return rankpool::bind(simulate, temperature); }
using Result = rankpool::detail::result_t<decltype(simulate)&, double, std::vector<int>, std::string>;
Result result = 0;
