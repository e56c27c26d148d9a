// For LD_PRELOAD: a machine that has four CPUs, whatever it has. What is bound to CPUs that don't exist stays unbound.
#include <sched.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

extern "C" int sched_getaffinity(pid_t /*process*/, std::size_t bytes, cpu_set_t* mask) noexcept {
  if (bytes < sizeof *mask) {
    errno = EINVAL;
    return -1;
  }
  std::memset(mask, 0, bytes);
  for (int cpu = 0; cpu < 4; ++cpu) CPU_SET(cpu, mask);
  return 0;
}
