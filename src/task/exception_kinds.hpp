/// @file
/// The types of exceptions that can be made anew: the program's registered ones, the pool's and the standard library's.
#pragma once

#include <exception>
#include <functional>
#include <span>
#include <string_view>

#include <rankpool/detail/exception_image.hpp>

namespace rankpool::task {

/// The pool's and the standard library's exceptions, derived types before their bases.
std::span<const detail::ExceptionKind> standard_kinds();

/// A kind that the handled exception is of.
struct KindMatch {
  std::string_view key;  ///< the kind's name, the same in every process of the program
  const detail::ExceptionKind* kind;
  const void* error;  ///< the handled exception as that kind's type
};

/// Shows the kinds of the handled exception to `accept`, the most derived first, until it returns true. Called inside a
/// catch block.
/// @param handled the exception where it has one std::exception base, else null.
/// @returns whether one was accepted.
bool match_kinds(const std::exception* handled, const std::function<bool(const KindMatch&)>& accept);

/// @returns the kind named `key`; null when there is none.
const detail::ExceptionKind* find_kind(std::string_view key);

}  // namespace rankpool::task
