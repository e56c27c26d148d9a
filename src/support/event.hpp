// Something that happens once, or again and again, and that poll() can wait for.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "support/unique_fd.hpp"

namespace rankpool::support {

/// Thread-safe.
class Event {
 public:
  /// @throws std::system_error.
  Event() : file_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!file_) throw std::system_error(errno, std::generic_category(), "rankpool: eventfd");
  }

  /// Can be read while it is set.
  [[nodiscard]] int file() const { return file_.get(); }

  void set() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(file_.get(), &one, sizeof one);
  }
  void reset() const {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t taken = read(file_.get(), &count, sizeof count);
  }

 private:
  UniqueFd file_;
};

}  // namespace rankpool::support
