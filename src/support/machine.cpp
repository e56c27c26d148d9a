#include "support/machine.hpp"

#include <sys/stat.h>

#include <fstream>

namespace rankpool::support {

std::string machine_id() {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  struct stat space {};
  if (boot.empty() || ::stat("/proc/self/ns/pid", &space) != 0) return boot;
  return boot + '/' + std::to_string(space.st_ino);
}

}  // namespace rankpool::support
