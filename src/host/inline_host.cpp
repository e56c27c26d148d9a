#include "host/inline_host.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include <rankpool/detail/code_address.hpp>

#include "task/exception_image.hpp"
#include "task/this_task.hpp"

namespace rankpool::host {

// The kernel object is in this very process, and the callable is made anew from its bytes, as in an executor.
class InlineHost::Call {
 public:
  explicit Call(const CallImage& image)
      : image_(image), kernel_(static_cast<const detail::Kernel*>(detail::resolve(image.kernel))) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    if (callable_ != nullptr) kernel_->unload(callable_);
  }

  [[nodiscard]] const CallImage& image() const { return image_; }
  [[nodiscard]] std::size_t result_stride() const { return kernel_->result_stride; }
  /// Throws what the callable's deserialization throws.
  void run(const detail::Chunk& chunk) {
    if (callable_ == nullptr) callable_ = kernel_->load({image_.callable.data(), image_.callable.size()});
    kernel_->run(callable_, chunk);
  }

 private:
  CallImage image_;
  const detail::Kernel* kernel_;
  void* callable_ = nullptr;
};

// Results in a buffer of the process's own, delivered as runs.
class InlineHost::Results final : public detail::ResultWriter {
 public:
  Results(HostListener& listener, LotId lot, std::uint64_t first, Place place)
      : listener_(listener), lot_(lot), place_(place) {
    run_first_ = first;
    finished_ = &count_;
  }

  void deliver() {
    const std::uint64_t count = count_.exchange(0);
    if (count != 0 && lot_ != no_lot) {
      listener_.on_results(lot_, run_first_, count, elapsed(), {buffer_.data(), used()});
    }
    run_first_ += count;
    cursor_ = buffer_.data();
  }
  void fail_with(detail::Bytes image) {
    deliver();
    if (lot_ == no_lot) {
      listener_.on_initializer_failed(place_, image);
    } else {
      listener_.on_task_failed(lot_, run_first_, elapsed(), place_, image);
    }
    ++run_first_;
  }
  void fail() override { fail_with(task::capture_current_exception()); }
  void fail_encoding() override { fail_with(task::capture_encoding_failure()); }

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] std::size_t used() const { return static_cast<std::size_t>(cursor_ - buffer_.data()); }
  std::int64_t elapsed() {
    const auto now = Clock::now();
    return std::chrono::nanoseconds(now - std::exchange(since_, now)).count();
  }
  void make_room(std::size_t bytes) override {
    const std::size_t kept = used();
    buffer_.resize(std::max(2 * buffer_.size(), kept + bytes));
    cursor_ = buffer_.data() + kept;
    limit_ = buffer_.data() + buffer_.size();
  }

  HostListener& listener_;
  LotId lot_;
  Place place_;
  Clock::time_point since_ = Clock::now();
  std::vector<std::byte> buffer_;
  std::atomic<std::uint64_t> count_{0};
};

InlineHost::InlineHost(std::int32_t rank, std::string host_name, std::optional<CallImage> initializer)
    : place_{rank, 0}, host_name_(std::move(host_name)), initializer_(std::move(initializer)) {}

InlineHost::~InlineHost() = default;

void InlineHost::open_call(const CallImage& call) { calls_.emplace(call.id, std::make_unique<Call>(call)); }

void InlineHost::close_call(CallId call) { calls_.erase(call); }

std::uint64_t InlineHost::allocate(std::size_t bytes) {
  auto block = std::make_unique_for_overwrite<std::byte[]>(std::max<std::size_t>(bytes, 1));
  const auto address = reinterpret_cast<std::uintptr_t>(block.get());
  blocks_.emplace(address, std::move(block));
  return address;
}

void InlineHost::release(std::uint64_t offset) { blocks_.erase(offset); }

std::byte* InlineHost::at(std::uint64_t offset) {
  return reinterpret_cast<std::byte*>(offset);  // NOLINT(performance-no-int-to-ptr): offsets are addresses here
}

void InlineHost::retract(LotId) {}  // there is no other host that could run it

bool InlineHost::poll(HostListener& listener) {
  if (initializer_) run_initializer(listener);
  if (lots_.empty()) return false;
  Lot& lot = lots_.front();
  const std::uint64_t chunksize = calls_.at(lot.call)->image().chunksize;
  const std::uint64_t first = lot.first;
  const std::uint64_t count = std::min(lot.count, std::max<std::uint64_t>(chunksize, 1));
  const Lot current = lot;
  lot.first += count;
  lot.count -= count;
  if (lot.count == 0) lots_.pop_front();
  run_chunk(current, first, count, listener);
  return true;
}

void InlineHost::run_initializer(HostListener& listener) {
  Call initializer(*std::exchange(initializer_, std::nullopt));
  Results results(listener, no_lot, 0, place_);
  try {
    initializer.run({.count = 1, .results = &results});
  } catch (...) {
    results.fail();
  }
}

void InlineHost::run_chunk(const Lot& lot, std::uint64_t first, std::uint64_t count, HostListener& listener) {
  Call& call = *calls_.at(lot.call);
  const std::uint64_t skip = first - lot.piece.first;
  const std::size_t stride = call.image().input_stride;
  detail::Chunk chunk{.inputs = at(lot.piece.data), .stride = stride, .offsets = nullptr, .count = count};
  if (stride == detail::variable_stride) {
    chunk.offsets = reinterpret_cast<const std::uint64_t*>(at(lot.piece.offsets)) + skip;
  } else {
    chunk.inputs += skip * stride;
  }
  Results results(listener, lot.id, first, place_);
  chunk.results = &results;
  {
    const task::TaskContext context{.results = &results,
                                    .attempt = lot.attempt,
                                    .rank = place_.rank,
                                    .slot = place_.slot,
                                    .host = host_name_.c_str()};
    const task::CurrentTask current(context);
    try {
      call.run(chunk);
    } catch (...) {
      for (std::uint64_t i = 0; i < count; ++i) results.fail();
    }
  }
  results.deliver();
}

}  // namespace rankpool::host
