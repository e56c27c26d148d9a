/// @file
/// The modules (executable and shared libraries) loaded into this process, with an identity of their content.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <rankpool/detail/code_address.hpp>

namespace rankpool::task {

struct Module {
  std::uint64_t id = 0;  ///< hash of the build id note, or of the file where it has none; never 0
  std::uintptr_t base = 0;
  std::uintptr_t begin = 0;  ///< addresses [begin, end) are the module's
  std::uintptr_t end = 0;
  bool executable = false;
  std::string file;
  detail::ModuleName name{};
};

/// @returns the loaded modules.
std::vector<Module> list_modules();

}  // namespace rankpool::task
