// A host without executors: memory for lots, each block one that a sanitizer watches.
#pragma once

#include <map>
#include <new>
#include <vector>

#include "fuzz/target.hpp"
#include "host/host.hpp"

namespace rankpool::fuzz {

class PretendedHost final : public host::Host {
 public:
  std::uint64_t allocate(std::size_t bytes) override {
    const std::uint64_t offset = next_;
    blocks_.emplace(offset, std::vector<std::byte>(bytes));
    next_ += bytes + page;
    return offset;
  }
  void release(std::uint64_t offset) override {
    require(blocks_.erase(offset) == 1, "only memory that was given is given back");
  }
  std::byte* at(std::uint64_t offset) override {
    const auto block = std::prev(blocks_.upper_bound(offset));
    return block->second.data() + (offset - block->first);
  }

  /// Reads what an executor reads of the lot.
  void read_inputs(const host::Lot& lot, std::uint64_t stride) {
    if (stride == 0) return;
    if (stride != detail::variable_stride) return read_all({at(lot.piece.data), lot.count * stride});
    const std::byte* offsets = at(lot.piece.offsets);
    for (std::uint64_t i = 0; i < lot.count; ++i) {
      const std::uint64_t begin = offset_at(offsets, i);
      const std::uint64_t end = offset_at(offsets, i + 1);
      require(begin <= end, "offsets are in order");
      if (begin != end) read_all({at(lot.piece.data) + begin, end - begin});
    }
  }

  void open_call(const host::CallImage&) override {}
  void close_call(host::CallId) override {}
  void stop_call(host::CallId) override {}
  void post(const host::Lot&) override {}
  void retract(host::LotId) override {}
  [[nodiscard]] bool has_begun(host::LotId) const override { return false; }
  bool poll(host::HostListener&) override { return false; }
  void wait(std::chrono::nanoseconds) override {}
  [[nodiscard]] bool has_idle_cpu() override { return false; }
  [[nodiscard]] bool has_work_left() override { return false; }
  void ring() noexcept override {}
  void break_down(const std::string&) override {}
  void shut_down() override {}
  void kill() override {}

 private:
  static constexpr std::uint64_t page = 4096;

  static std::uint64_t offset_at(const std::byte* table, std::uint64_t i) {
    std::uint64_t offset = 0;
    std::memcpy(&offset, table + i * sizeof offset, sizeof offset);
    return offset;
  }

  std::map<std::uint64_t, std::vector<std::byte>> blocks_;
  std::uint64_t next_ = page;
};

}  // namespace rankpool::fuzz
