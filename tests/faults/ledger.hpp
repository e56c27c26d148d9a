/// @file
/// What tasks tell of themselves in a file that the executors of all ranks of this machine map.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "pool/pool_test.hpp"

namespace rankpool::test {

/// Of one task. Written by its executors, which may die between any two instructions.
struct Entry {
  std::atomic<std::uint32_t> starts;     ///< of its function
  std::atomic<std::int64_t> started_ns;  ///< the last one, by the clock that all processes share
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

inline std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

class Ledger {
 public:
  /// Of `tasks` tasks that have not started.
  explicit Ledger(std::size_t tasks) : file_(std::make_unique<ScratchFile>()), path_(file_->path()) { map(tasks); }
  /// Another process' ledger.
  explicit Ledger(std::string path) : path_(std::move(path)) { map(0); }
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  ~Ledger() { munmap(workers_, bytes_); }

  [[nodiscard]] const std::string& path() const { return path_; }
  Entry& operator[](std::size_t task) { return entries_[task]; }

  /// In the executor, at the task's begin.
  void note_start(std::size_t task) {
    entries_[task].started_ns = now_ns();
    ++entries_[task].starts;
    const int pid = getpid();
    if (place_of(pid) != pid) place_of(pid) = pid;
  }

  /// Whether that executor has begun a task of these; forgotten when another one takes its place in the table.
  [[nodiscard]] bool works(int pid) { return place_of(pid) == pid; }

 private:
  using Workers = std::array<std::atomic<int>, 1024>;

  void map(std::size_t tasks) {
    const int file = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    bytes_ = sizeof(Workers) + tasks * sizeof(Entry);
    if (file >= 0 && tasks != 0 && ftruncate(file, static_cast<off_t>(bytes_)) != 0) bytes_ = 0;
    if (file >= 0 && tasks == 0) bytes_ = static_cast<std::size_t>(lseek(file, 0, SEEK_END));
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    const int error = errno;
    if (file >= 0) ::close(file);
    if (memory == MAP_FAILED) throw std::system_error(error, std::generic_category(), "no ledger in " + path_);
    workers_ = static_cast<Workers*>(memory);
    entries_ = reinterpret_cast<Entry*>(workers_ + 1);
  }

  std::atomic<int>& place_of(int pid) { return (*workers_)[static_cast<std::size_t>(pid) % workers_->size()]; }

  std::unique_ptr<ScratchFile> file_;
  std::string path_;
  std::size_t bytes_ = 0;
  Workers* workers_ = nullptr;
  Entry* entries_ = nullptr;
};

/// @returns the ledger of that path, mapped once in each process.
inline Ledger& ledger_at(const std::string& path) {
  static std::unique_ptr<Ledger> ledger;
  if (ledger == nullptr || ledger->path() != path) ledger = std::make_unique<Ledger>(path);
  return *ledger;
}

}  // namespace rankpool::test
