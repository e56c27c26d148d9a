/// @file
/// std::error_code as bytes. Its category is an object of the process: it travels by name.
#pragma once

#include <system_error>

#include "task/fields.hpp"

namespace rankpool::task {

void put_error_code(detail::ByteBuffer& to, const std::error_code& code);

/// A code of a category of the standard library is equal to the one that was sent. A code of any other category has its
/// value, message, the category's name and the std::errc it stands for.
std::error_code take_error_code(FieldReader& from);

}  // namespace rankpool::task
