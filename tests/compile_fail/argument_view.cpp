// expect: a view (std::string_view, std::span) doesn't travel
#include <rankpool/bind.hpp>

std::size_t length(std::string_view);
using Result = rankpool::detail::result_t<decltype(length)&, std::string_view>;
Result* result = nullptr;
