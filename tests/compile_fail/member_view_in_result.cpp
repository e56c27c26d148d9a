// expect: a view (std::string_view, std::span) doesn't travel
#include <rankpool/bind.hpp>

struct Entry {
  int line;
  std::string_view text;
};
std::vector<Entry> parse(int);
using Result = rankpool::detail::result_t<decltype(parse)&, int>;
Result* result = nullptr;
