// For LD_PRELOAD: a file system without locks, which says so by the error NO_LOCKS_ERROR (ENOLCK).
#include <dlfcn.h>
#include <fcntl.h>

#include <cerrno>
#include <cstdarg>
#include <cstdlib>

namespace {

using Fcntl = int (*)(int, int, ...);

int without_locks(Fcntl of_libc, int file, int command, void* argument) {
  if (command != F_SETLK && command != F_SETLKW && command != F_GETLK) return of_libc(file, command, argument);
  const char* error = std::getenv("NO_LOCKS_ERROR");
  errno = error == nullptr ? ENOLCK : std::atoi(error);
  return -1;
}

}  // namespace

// What there is to the right of a command, a number or a pointer, goes on as it came.
#define RANKPOOL_WITHOUT_LOCKS(name)                                              \
  extern "C" int name(int file, int command, ...) {                               \
    static const auto of_libc = reinterpret_cast<Fcntl>(dlsym(RTLD_NEXT, #name)); \
    std::va_list arguments;                                                       \
    va_start(arguments, command);                                                 \
    void* const argument = va_arg(arguments, void*);                              \
    va_end(arguments);                                                            \
    return without_locks(of_libc, file, command, argument);                       \
  }

RANKPOOL_WITHOUT_LOCKS(fcntl)
RANKPOOL_WITHOUT_LOCKS(fcntl64)
