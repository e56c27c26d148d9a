/// @file
/// Addresses of code and static objects in a form that other processes of the same program understand, whatever
/// addresses their modules were loaded at.
#pragma once

#include <array>
#include <cstdint>

#include <rankpool/export.hpp>

namespace rankpool::detail {

/// A library's file name, without the folder, or as much of it as there is room for; zeros behind it.
using ModuleName = std::array<char, 48>;

/// A place in a loaded module (the executable or a shared library).
struct CodeAddress {
  std::uint64_t module = 0;  ///< identity of the module's content; 0 in the null address
  std::uint64_t offset = 0;  ///< from where the module is loaded
  ModuleName name = {};      ///< for whoever has not loaded it

  friend bool operator==(const CodeAddress&, const CodeAddress&) = default;
};

/// Notes the modules that are loaded now: only addresses in these travel. To be called before the executors are forked.
/// May be called again; modules loaded since the first call stay unknown.
RANKPOOL_API void snapshot_modules();

/// Thread-safe. Takes the snapshot if there is none.
/// @throws BinaryMismatch when the address is in no module of the snapshot (a library loaded later), naming the
/// library.
RANKPOOL_API CodeAddress address_of(const void* address);

/// Thread-safe.
/// @throws BinaryMismatch when this process has not loaded the module in that build, naming it and the build it has.
RANKPOOL_API const void* resolve(CodeAddress address);

/// Identity of the executable's content: the same in every process that runs the same build.
RANKPOOL_API std::uint64_t executable_id();

}  // namespace rankpool::detail
