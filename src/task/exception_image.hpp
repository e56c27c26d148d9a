/// @file
/// A task's exception as bytes: captured in the executor, made anew at the master.
///
///   catch (...) ──capture_current_exception──► image ══ channel, MPI ══► rebuild ──► Remote<E>
///
/// An image holds the most derived type that can be made anew, the type that was thrown, the text, the texts of nested
/// exceptions, and the state of registered types. A checksum guards it.
#pragma once

#include <cstddef>
#include <exception>
#include <string_view>
#include <vector>

#include <rankpool/detail/byte_buffer.hpp>
#include <rankpool/errors.hpp>

namespace rankpool::task {

using ExceptionImage = std::vector<std::byte>;

/// The exception being handled; called inside a catch block. When memory is short a reserve is used up first; the image
/// is empty when even that is not enough, which rebuild() knows how to tell.
ExceptionImage capture_current_exception() noexcept;

/// The exception being handled was thrown while a task's result was encoded: becomes a SerializationError that names
/// it.
/// @param result_type type of the result as written in C++, where known.
ExceptionImage capture_encoding_failure(std::string_view result_type = {}) noexcept;

/// Whether the exception being handled is a std::bad_alloc.
bool handles_lack_of_memory() noexcept;

/// The exception of an image, as Remote<E>. A damaged image, or a type that nobody registered here, becomes a
/// detail::UnknownRemoteError that says so.
std::exception_ptr rebuild(detail::Bytes image, const TaskPlace& place);

}  // namespace rankpool::task
