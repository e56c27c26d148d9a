/// @file
/// Addresses in a form that other processes understand, where there need be none: for what tells of a crash.
#pragma once

#include <optional>

#include <rankpool/detail/code_address.hpp>

namespace rankpool::task {

/// Like detail::address_of(); empty for an address in none of the modules of the snapshot. Thread-safe.
std::optional<detail::CodeAddress> locate(const void* address) noexcept;

/// Like detail::resolve(); null where this process has not loaded the module in that build. Thread-safe.
const void* find_here(const detail::CodeAddress& address) noexcept;

}  // namespace rankpool::task
