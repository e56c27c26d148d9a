/// @file
/// What the processes of this run hold: memory, descriptors, mappings.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults/family.hpp"
#include "pool/proc.hpp"

namespace rankpool::test {

/// The most that one process of a kind has.
struct Holding {
  std::size_t processes = 0;
  std::size_t descriptors = 0;
  std::size_t mappings = 0;
  double megabytes = 0;  ///< of its own; the channel's are shared by all

  static Holding of(const Pids& pids) {
    Holding most;
    for (const int pid : pids) {
      ++most.processes;
      most.descriptors = std::max(most.descriptors, descriptors_of(pid));
      most.mappings = std::max(most.mappings, lines(proc(pid, "maps")));
      most.megabytes = std::max(most.megabytes, own_megabytes(pid));
    }
    return most;
  }

 private:
  static double own_megabytes(int pid) {
    std::ifstream status(proc(pid, "status"));
    double all = 0;
    for (std::string word; status >> word;) {
      double kilobytes = 0;
      if ((word == "RssAnon:" || word == "RssFile:") && status >> kilobytes) all += kilobytes / 1024;
    }
    return all;
  }

  // An executor may end at any time.
  static std::size_t descriptors_of(int pid) {
    std::error_code gone;
    std::size_t all = 0;
    for (std::filesystem::directory_iterator file(proc(pid, "fd"), gone), end; !gone && file != end;
         file.increment(gone)) {
      ++all;
    }
    return all;
  }
};

/// @returns the memory that the channels of all nodes take, in MB.
inline double channel_megabytes() {
  constexpr double blocks_per_megabyte = 2048;
  double all = 0;
  std::set<ino_t> seen;  // ranks of one node share theirs
  std::error_code gone;
  for (const int rank : ranks()) {
    for (const auto& file : std::filesystem::directory_iterator(proc(rank, "fd"), gone)) {
      struct stat status {};
      const std::string target = std::filesystem::read_symlink(file, gone).string();
      if (!target.starts_with("/memfd:rankpool") || stat(file.path().c_str(), &status) != 0) continue;
      if (seen.insert(status.st_ino).second) all += static_cast<double>(status.st_blocks) / blocks_per_megabyte;
    }
  }
  return all;
}

struct Holdings {
  Holding master;
  Holding ranks;  ///< the others
  Holding zygotes;
  Holding executors;
  double channel = 0;

  /// This process gives back what its heap keeps in reserve, which comes and goes.
  static Holdings now() {
    malloc_trim(0);
    Pids others = test::ranks();
    std::erase(others, getpid());
    return {Holding::of({getpid()}), Holding::of(others), Holding::of(test::zygotes()), Holding::of(test::executors()),
            channel_megabytes()};
  }
};

inline std::ostream& operator<<(std::ostream& out, const Holding& one) {
  return out << one.megabytes << " MB + channel, " << one.descriptors << " fd, " << one.mappings << " maps";
}

inline std::ostream& operator<<(std::ostream& out, const Holdings& all) {
  return out << "master " << all.master << "; ranks " << all.ranks << "; zygotes " << all.zygotes << "; executors "
             << all.executors << "; channels " << all.channel << " MB";
}

}  // namespace rankpool::test
