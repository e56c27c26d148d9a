/// @file
/// What /proc tells of this process, and of those it started.
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

namespace rankpool::test {

/// @returns the memory a process has in RAM, shared memory too, in MB; 0 when it is gone.
inline double resident_megabytes(const std::string& pid = "self") {
  std::ifstream status("/proc/" + pid + "/status");
  for (std::string word; status >> word;) {
    double kilobytes = 0;
    if (word == "VmRSS:" && status >> kilobytes) return kilobytes / 1024;
  }
  return 0;
}

/// @returns that of all processes that run this executable: ranks, zygotes and executors of this machine.
inline double resident_megabytes_of_all() {
  namespace fs = std::filesystem;
  std::error_code gone;
  const fs::path self = fs::read_symlink("/proc/self/exe");
  double sum = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (fs::read_symlink(entry.path() / "exe", gone) == self) sum += resident_megabytes(name);
  }
  return sum;
}

/// @returns the number of entries of a directory.
inline std::size_t entries(const std::string& directory) {
  using Iterator = std::filesystem::directory_iterator;
  return static_cast<std::size_t>(std::distance(Iterator(directory), Iterator()));
}

/// @returns the number of lines of a file.
inline std::size_t lines(const std::string& path) {
  std::ifstream file(path);
  return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
}

/// @returns the ids of a process, of those that it has started, and of those that they have started in turn.
inline std::vector<std::string> family_of(const std::string& pid) {
  std::vector<std::string> all{pid};
  std::error_code gone;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + pid + "/task", gone)) {
    std::ifstream children(thread.path() / "children");
    for (std::string child; children >> child;) {
      const auto more = family_of(child);
      all.insert(all.end(), more.begin(), more.end());
    }
  }
  return all;
}

}  // namespace rankpool::test
