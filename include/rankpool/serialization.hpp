/// @file
/// What travels between processes, without another include:
///
/// - arithmetic types, enums and trivially copyable classes without `serialize`, as bytes;
/// - std::string, vector, array, deque, list, set, map (multi and unordered ones too), pair, tuple, optional, variant,
///   complex, chrono durations and time points, filesystem::path, unique_ptr, shared_ptr and weak_ptr of what travels;
/// - classes with a Boost.Serialization `serialize` (member or free, or save and load), with its versions, object
///   tracking, `BOOST_CLASS_EXPORT`ed polymorphic pointers and `load_construct_data`.
///
/// Elements and arguments without a public default constructor travel when they are trivially copyable or have a
/// `load_construct_data`. Comparators, hash functions, allocators and deleters don't travel: they are made anew.
/// shared_ptrs to one object within one argument or result own one object again on the other side.
#pragma once

#include <rankpool/detail/standard_containers.hpp>  // IWYU pragma: export
#include <rankpool/detail/standard_pointers.hpp>    // IWYU pragma: export
#include <rankpool/detail/standard_values.hpp>      // IWYU pragma: export
