// expect: would send this class as the bytes of the object itself
#include <string>

#include <boost/serialization/string.hpp>

#include <rankpool/detail/archive.hpp>

void save(rankpool::detail::OutputArchive& archive, const std::string& text) { archive << text; }
