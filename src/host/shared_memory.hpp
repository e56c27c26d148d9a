// Anonymous memory that the processes of a node share: a memfd, never named in /dev/shm or /tmp.
//
// The file is as large as all memory that might ever be wanted, but only what commit() has reserved may be touched:
// memory that can't be had is an error there, and not a SIGBUS later.
#pragma once

#include <cstddef>
#include <memory>

#include "support/unique_fd.hpp"

namespace rankpool::host {

class SharedMemory {
 public:
  /// Throws std::system_error with advice when the address space or the file can't be had.
  static SharedMemory create(std::size_t reservation);
  /// Maps what another process created.
  static SharedMemory attach(support::UniqueFd file);
  /// Maps what rank `pid` of this node created as its descriptor `fd`.
  static SharedMemory attach(int pid, int fd);

  SharedMemory(SharedMemory&&) = default;
  SharedMemory& operator=(SharedMemory&&) = default;
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory() = default;

  [[nodiscard]] std::byte* base() const { return mapping_.get(); }
  /// It stays mapped while the owner returned lives.
  [[nodiscard]] std::shared_ptr<const void> hold() const { return mapping_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] int file() const { return file_.get(); }
  void close_file() { file_.reset(); }

  /// Reserves the pages of [offset, offset + bytes). Throws std::system_error (ENOMEM) with advice.
  void commit(std::size_t offset, std::size_t bytes);
  /// Gives the pages back to the system; they must be committed again before use.
  void decommit(std::size_t offset, std::size_t bytes) noexcept;

 private:
  SharedMemory(support::UniqueFd file, std::size_t size);

  support::UniqueFd file_;
  std::shared_ptr<std::byte> mapping_;
  std::size_t size_ = 0;
};

}  // namespace rankpool::host
