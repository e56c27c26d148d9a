/// @file
/// Exceptions in words. The functions named handled_* look at the exception that is being handled and are called
/// inside a catch block.
#pragma once

#include <string>
#include <typeinfo>
#include <vector>

namespace rankpool::task {

/// The type as it is written in C++, without the library's inline namespaces: "std::string", not
/// "std::__cxx11::basic_string<char, ...>".
std::string readable_type(const std::type_info& type);

/// Type of the handled exception; what std::throw_with_nested wraps is unwrapped.
std::string handled_type_name();

/// what() of the handled exception; for types without one their name and, for plain values, the value. Texts of more
/// than 64 KiB are cut.
std::string handled_text();

/// Texts of the exceptions nested in the handled one, the outermost first.
std::vector<std::string> handled_causes();

}  // namespace rankpool::task
