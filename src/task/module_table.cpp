#include "task/module_table.hpp"

#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <span>
#include <string_view>

namespace rankpool::task {

namespace {

// FNV-1a, 64 bits.
constexpr std::uint64_t hash_start = 0xcbf29ce484222325U;
constexpr std::uint64_t hash_prime = 0x100000001b3U;

std::uint64_t hash(std::span<const char> bytes, std::uint64_t so_far = hash_start) {
  for (const char byte : bytes) so_far = (so_far ^ static_cast<unsigned char>(byte)) * hash_prime;
  return so_far;
}

std::uint64_t hash_file(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::array<char, 65536> block{};
  std::uint64_t so_far = hash_start;
  while (in) {
    in.read(block.data(), static_cast<std::streamsize>(block.size()));
    so_far = hash(std::span(block).first(static_cast<std::size_t>(in.gcount())), so_far);
  }
  return so_far;
}

/// @returns the bytes of the GNU build id in a note segment; empty when it is not there.
std::span<const char> find_build_id(const char* notes, std::size_t size) {
  const auto padded = [](std::size_t bytes) { return (bytes + 3) & ~std::size_t{3}; };
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes, sizeof(note));
    const std::size_t name = sizeof(note);
    const std::size_t content = name + padded(note.n_namesz);
    const std::size_t end = content + padded(note.n_descsz);
    if (end > size) break;
    constexpr std::string_view gnu("GNU\0", 4);
    if (note.n_type == NT_GNU_BUILD_ID && std::string_view(notes + name, note.n_namesz) == gnu) {
      return {notes + content, note.n_descsz};
    }
    notes += end;
    size -= end;
  }
  return {};
}

std::uint64_t identify(const dl_phdr_info& info, const std::string& file) {
  std::uint64_t id = 0;
  for (const ElfW(Phdr) & segment : std::span(info.dlpi_phdr, info.dlpi_phnum)) {
    if (segment.p_type != PT_NOTE) continue;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the loader gives numbers
    const auto* notes = reinterpret_cast<const char*>(info.dlpi_addr + segment.p_vaddr);
    const auto build_id = find_build_id(notes, segment.p_memsz);
    if (!build_id.empty()) id = hash(build_id);
  }
  if (id == 0) id = hash_file(file);
  return id == 0 ? 1 : id;
}

constexpr const char* own_file = "/proc/self/exe";

/// Its own name; /proc/self/exe would name whoever asks.
std::string path_of_executable() {
  std::array<char, 4096> path{};
  const ssize_t length = readlink(own_file, path.data(), path.size());
  return length > 0 ? std::string(path.data(), static_cast<std::size_t>(length)) : own_file;
}

detail::ModuleName short_name(std::string_view file) {
  detail::ModuleName name{};
  file.substr(file.rfind('/') + 1).copy(name.data(), name.size() - 1);
  return name;
}

int add_module(dl_phdr_info* info, std::size_t /*size*/, void* modules_pointer) {
  auto& modules = *static_cast<std::vector<Module>*>(modules_pointer);
  Module module;
  module.executable = modules.empty();  // the first in the list, by the loader's promise
  module.base = info->dlpi_addr;
  module.begin = UINTPTR_MAX;
  for (const ElfW(Phdr) & segment : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
    if (segment.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = module.base + segment.p_vaddr;
    module.begin = std::min(module.begin, begin);
    module.end = std::max(module.end, begin + segment.p_memsz);
  }
  module.file = module.executable ? own_file : info->dlpi_name;
  module.id = identify(*info, module.file);
  if (module.executable) module.file = path_of_executable();
  module.name = short_name(module.file);
  if (module.end != 0) modules.push_back(std::move(module));
  return 0;
}

}  // namespace

std::vector<Module> list_modules() {
  std::vector<Module> modules;
  dl_iterate_phdr(add_module, &modules);
  return modules;
}

}  // namespace rankpool::task
