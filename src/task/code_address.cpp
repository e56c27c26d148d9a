#include <rankpool/detail/code_address.hpp>

#include <dlfcn.h>

#include <algorithm>
#include <string>
#include <vector>

#include <rankpool/errors.hpp>

#include "task/code_location.hpp"
#include "task/hex.hpp"
#include "task/module_table.hpp"

namespace rankpool::detail {

namespace {

using task::hex;
using task::Module;

/// Made once and never changed, so that it is read without a lock; inherited by forked processes.
const std::vector<Module>& modules() {
  static const std::vector<Module> snapshot = task::list_modules();
  return snapshot;
}

const Module* find_by_address(std::uintptr_t address) {
  const auto& all = modules();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Module& m) { return address >= m.begin && address < m.end; });
  return found == all.end() ? nullptr : &*found;
}

const Module* find_by_id(std::uint64_t id) {
  const auto& all = modules();
  const auto found = std::find_if(all.begin(), all.end(), [id](const Module& m) { return m.id == id; });
  return found == all.end() ? nullptr : &*found;
}

/// Null where it lies outside.
const void* address_in(const Module& module, std::uintptr_t offset) {
  const std::uintptr_t number = module.base + offset;
  if (number < module.begin || number >= module.end) return nullptr;
  return reinterpret_cast<const void*>(number);  // NOLINT(performance-no-int-to-ptr): an address is what is asked for
}

/// What is here in place of a module that isn't.
std::string build_here(const CodeAddress& missing) {
  for (const Module& module : modules()) {
    if (module.name == missing.name) return "'" + module.file + "' is another one (build " + hex(module.id) + ")";
  }
  return "no such library is loaded";
}

}  // namespace

void snapshot_modules() { (void)modules(); }

CodeAddress address_of(const void* address) {
  const auto number = reinterpret_cast<std::uintptr_t>(address);
  if (const auto known = task::locate(address)) return *known;
  Dl_info info{};
  const bool known = dladdr(address, &info) != 0 && info.dli_fname != nullptr;
  throw BinaryMismatch(
      "rankpool: the function at " + hex(number) + " is " +
      (known ? "in '" + std::string(info.dli_fname) + "', which was loaded after the pool's executors were forked"
             : "in no library of this process") +
      ". Link the library, or load it before rankpool::run().");
}

const void* resolve(CodeAddress address) {
  const Module* module = find_by_id(address.module);
  if (module == nullptr) {
    const std::string name(address.name.begin(), std::ranges::find(address.name, '\0'));
    throw BinaryMismatch("rankpool: the task's function is in '" + name + "' (build " + hex(address.module) +
                         "), and " + build_here(address) +
                         ". Run the same build of the program and its libraries everywhere.");
  }
  if (const void* here = address_in(*module, address.offset)) return here;
  throw BinaryMismatch("rankpool: offset " + hex(address.offset) + " lies outside of '" + module->file + "'");
}

std::uint64_t executable_id() { return modules().front().id; }

}  // namespace rankpool::detail

namespace rankpool::task {

std::optional<detail::CodeAddress> locate(const void* address) noexcept {
  const auto number = reinterpret_cast<std::uintptr_t>(address);
  const Module* module = detail::find_by_address(number);
  if (module == nullptr) return std::nullopt;
  return detail::CodeAddress{module->id, number - module->base, module->name};
}

const void* find_here(const detail::CodeAddress& address) noexcept {
  const Module* module = address.module == 0 ? nullptr : detail::find_by_id(address.module);
  return module == nullptr ? nullptr : detail::address_in(*module, address.offset);
}

}  // namespace rankpool::task
