#include "host/shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <system_error>
#include <utility>

#include "support/text.hpp"

namespace rankpool::host {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), "rankpool: " + what);
}

// A file-size limit sends SIGXFSZ, whose default is a core dump; ignored for the moment, the call just fails.
class IgnoreFileSizeSignal {
 public:
  IgnoreFileSizeSignal() : previous_(std::signal(SIGXFSZ, SIG_IGN)) {}
  IgnoreFileSizeSignal(const IgnoreFileSizeSignal&) = delete;
  IgnoreFileSizeSignal& operator=(const IgnoreFileSizeSignal&) = delete;
  ~IgnoreFileSizeSignal() { std::signal(SIGXFSZ, previous_); }

 private:
  void (*previous_)(int);
};

}  // namespace

SharedMemory SharedMemory::create(std::size_t reservation) {
  support::UniqueFd file(memfd_create("rankpool", MFD_CLOEXEC));
  if (!file) fail(errno, "can't create the channel's shared memory (memfd_create)");
  const IgnoreFileSizeSignal guard;
  if (ftruncate(file.get(), static_cast<off_t>(reservation)) != 0) {
    fail(errno, "can't size the channel's shared memory to " + support::megabytes(reservation) +
                    "; is a file-size limit set (ulimit -f)?");
  }
  return {std::move(file), reservation};
}

SharedMemory SharedMemory::attach(support::UniqueFd file) {
  struct stat status {};
  if (fstat(file.get(), &status) != 0) fail(errno, "can't read the size of the channel's shared memory");
  return {std::move(file), static_cast<std::size_t>(status.st_size)};
}

SharedMemory SharedMemory::attach(int pid, int fd) {
  const std::string path = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
  support::UniqueFd file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) {
    fail(errno,
         "can't open the channel of the rank that leads this node (" + path +
             "); ranks of one node must share a user, a pid namespace and /proc, and the user must be able to read "
             "the program's file");
  }
  return attach(std::move(file));
}

SharedMemory::SharedMemory(support::UniqueFd file, std::size_t size) : file_(std::move(file)), size_(size) {
  void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_.get(), 0);
  if (base == MAP_FAILED) {
    fail(errno, "can't reserve " + support::megabytes(size) +
                    " of address space for the channel; is a limit set (ulimit -v)? RANKPOOL_CHANNEL_MB sets its size");
  }
  mapping_.reset(static_cast<std::byte*>(base), [size](std::byte* mapped) { munmap(mapped, size); });
  madvise(base, size, MADV_DONTDUMP);
}

void SharedMemory::commit(std::size_t offset, std::size_t bytes) {
  int result = -1;
  const IgnoreFileSizeSignal guard;
  do {
    result = fallocate(file_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    fail(errno == ENOSPC ? ENOMEM : errno,
         "no memory for " + support::megabytes(bytes) +
             " more of the channel; send less at a time, or raise the job's memory limit");
  }
}

// Not by fallocate(), which does the same to the file: MPI sends from this memory, and where a network card knows its
// pages, MPI must hear that they go. It listens to madvise().
void SharedMemory::decommit(std::size_t offset, std::size_t bytes) noexcept {
  if (madvise(base() + offset, bytes, MADV_REMOVE) == 0) return;
  // A program that locks its memory.
  fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
            static_cast<off_t>(bytes));
}

}  // namespace rankpool::host
