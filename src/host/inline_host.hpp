// A host without processes: poll() runs the tasks in the caller's own thread, for debuggers and profilers.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "host/host.hpp"
#include "host/lot_book.hpp"

namespace rankpool::host {

class InlineHost final : public Host {
 public:
  InlineHost(std::int32_t rank, std::string host_name, std::optional<CallImage> initializer);
  ~InlineHost() override;

  void open_call(const CallImage& call) override;
  void close_call(CallId call) override;
  std::uint64_t allocate(std::size_t bytes) override;
  void release(std::uint64_t offset) override;
  std::byte* at(std::uint64_t offset) override;
  void post(const Lot& lot) override { lots_.push_back(lot); }
  void retract(LotId lot) override;
  bool poll(HostListener& listener) override;
  void wait(std::chrono::nanoseconds) override {}
  void ring() noexcept override {}
  [[nodiscard]] std::uint32_t executors() const override { return 1; }
  void shut_down() override {}
  void kill() override {}

 private:
  class Call;
  class Results;

  void run_initializer(HostListener& listener);
  void run_chunk(const Lot& lot, std::uint64_t first, std::uint64_t count, HostListener& listener);

  Place place_;
  std::string host_name_;
  std::optional<CallImage> initializer_;
  std::unordered_map<CallId, std::unique_ptr<Call>> calls_;
  std::unordered_map<std::uint64_t, std::unique_ptr<std::byte[]>> blocks_;  ///< by address
  std::deque<Lot> lots_;
};

}  // namespace rankpool::host
