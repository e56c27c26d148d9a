#include "host/inline_host.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include <rankpool/detail/code_address.hpp>

#include "task/exception_image.hpp"
#include "task/random.hpp"

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
  void stop() { stop_.store(1, std::memory_order_relaxed); }
  [[nodiscard]] const std::atomic<std::uint32_t>* stop_flag() const { return &stop_; }
  /// Throws what the callable's deserialization throws.
  void run(const detail::Chunk& chunk) {
    if (callable_ == nullptr) callable_ = kernel_->load({image_.callable.data(), image_.callable.size()});
    kernel_->run(callable_, chunk);
  }

 private:
  CallImage image_;
  const detail::Kernel* kernel_;
  void* callable_ = nullptr;
  std::atomic<std::uint32_t> stop_{0};
};

struct InlineHost::Event {
  enum class Kind { results, failure, initializer_failure, returned, retracted };

  Kind kind;
  LotId lot = no_lot;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::int64_t nanoseconds = 0;
  std::vector<std::byte> bytes = {};
};

// A chunk's results as the events that they are.
class InlineHost::Results final : public detail::ResultWriter {
 public:
  Results(LotId lot, std::uint64_t first) : lot_(lot) {
    run_first_ = first;
    finished_ = &count_;
  }

  /// What has happened up to now, in its order.
  std::deque<Event> take() {
    end_run();
    return std::move(events_);
  }

  void fail() override { fail_with(task::capture_current_exception()); }
  void fail_encoding() override { fail_with(task::capture_encoding_failure()); }

 private:
  using Clock = std::chrono::steady_clock;

  void end_run() {
    const std::uint64_t count = count_.exchange(0);
    if (count != 0 && lot_ != no_lot) {
      buffer_.resize(used());
      events_.push_back({.kind = Event::Kind::results,
                         .lot = lot_,
                         .first = run_first_,
                         .count = count,
                         .nanoseconds = elapsed(),
                         .bytes = std::move(buffer_)});
    }
    run_first_ += count;
    buffer_.clear();
    cursor_ = limit_ = nullptr;
  }
  void fail_with(detail::Bytes image) {
    end_run();
    events_.push_back({.kind = lot_ == no_lot ? Event::Kind::initializer_failure : Event::Kind::failure,
                       .lot = lot_,
                       .first = run_first_,
                       .count = 1,
                       .nanoseconds = elapsed(),
                       .bytes = {image.data(), image.data() + image.size()}});
    ++run_first_;
  }
  [[nodiscard]] std::size_t used() const {
    return cursor_ == nullptr ? 0 : static_cast<std::size_t>(cursor_ - buffer_.data());
  }
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

  LotId lot_;
  Clock::time_point since_ = Clock::now();
  std::vector<std::byte> buffer_;
  std::deque<Event> events_;
  std::atomic<std::uint64_t> count_{0};
};

InlineHost::InlineHost(std::int32_t rank, std::string host_name, std::optional<CallImage> initializer,
                       std::uint64_t seed)
    : host_name_(std::move(host_name)),
      workplace_{.rank = rank, .slot = 0, .host = host_name_.c_str(), .seed = seed},
      initializer_(std::move(initializer)) {}

InlineHost::~InlineHost() = default;

void InlineHost::open_call(const CallImage& call) {
  auto opened = std::make_shared<Call>(call);
  const std::lock_guard lock(mutex_);
  calls_.emplace(call.id, std::move(opened));
}

void InlineHost::close_call(CallId call) {
  decltype(calls_)::node_type closed;  // the callable's destructor needs no lock
  const std::lock_guard lock(mutex_);
  closed = calls_.extract(call);
}

void InlineHost::stop_call(CallId call) {
  const std::lock_guard lock(mutex_);
  if (const auto found = calls_.find(call); found != calls_.end()) found->second->stop();
}

std::uint64_t InlineHost::allocate(std::size_t bytes) {
  Block block(static_cast<std::byte*>(::operator new(std::max<std::size_t>(bytes, 1), page, std::nothrow)));
  if (!block) {
    throw std::system_error(ENOMEM, std::generic_category(), "rankpool: no " + std::to_string(bytes) + " bytes");
  }
  const auto address = reinterpret_cast<std::uintptr_t>(block.get());
  blocks_.emplace(address, std::move(block));
  return address;
}

void InlineHost::release(std::uint64_t offset) { blocks_.erase(offset); }

std::byte* InlineHost::at(std::uint64_t offset) {
  return reinterpret_cast<std::byte*>(offset);  // NOLINT(performance-no-int-to-ptr): offsets are addresses here
}

void InlineHost::post(const Lot& lot) {
  const std::lock_guard lock(mutex_);
  lots_.push_back(lot);
  work_.notify_one();
}

void InlineHost::retract(LotId lot) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(lots_, lot, &Lot::id);
  if (found != lots_.end()) {
    events_.push_back({.kind = Event::Kind::returned, .lot = lot, .first = found->first, .count = found->count});
    lots_.erase(found);
  }
  events_.push_back({.kind = Event::Kind::retracted, .lot = lot});
}

bool InlineHost::has_begun(LotId lot) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(lots_, lot, &Lot::id);
  return found == lots_.end() || found->first != found->piece.first;
}

bool InlineHost::poll(HostListener& listener) {
  std::unique_lock lock(mutex_);
  const bool happened = !events_.empty();
  while (!events_.empty()) {
    const Event event = std::move(events_.front());
    events_.pop_front();
    lock.unlock();
    report(event, listener);
    lock.lock();
  }
  return happened;
}

void InlineHost::report(const Event& event, HostListener& listener) const {
  switch (event.kind) {
    case Event::Kind::results:
      return listener.on_results(event.lot, event.first, event.count, event.nanoseconds, event.bytes);
    case Event::Kind::failure:
      return listener.on_task_failed(event.lot, event.first, event.nanoseconds, place(), event.bytes);
    case Event::Kind::initializer_failure:
      return listener.on_initializer_failed(place(), event.bytes);
    case Event::Kind::returned:
      return listener.on_tasks_returned(event.lot, event.first, event.count);
    case Event::Kind::retracted:
      return listener.on_retracted(event.lot);
  }
}

void InlineHost::wait(std::chrono::nanoseconds timeout) {
  if (initializer_) return run_initializer();
  std::unique_lock lock(mutex_);
  if (!rung_ && lots_.empty()) {
    constexpr std::chrono::nanoseconds longest = std::chrono::hours(1);  // for the clock's sake
    work_.wait_for(lock, std::min(timeout, longest), [this] { return rung_ || !lots_.empty(); });
  }
  if (std::exchange(rung_, false) || lots_.empty()) return;
  const auto lot = next_lot();
  const std::shared_ptr<Call> call = calls_.at(lot->call);
  const Lot current = *lot;
  const std::uint64_t count = std::min(lot->count, std::max<std::uint64_t>(call->image().chunksize, 1));
  lot->first += count;
  lot->count -= count;
  if (lot->count == 0) lots_.erase(lot);
  lock.unlock();
  run_chunk(*call, current, current.first, count);
}

// Calls take turns, chunk by chunk; each runs in the order of its lots.
std::deque<Lot>::iterator InlineHost::next_lot() {
  const auto next = std::ranges::min_element(
      lots_, {}, [last = last_call_](const Lot& lot) { return std::pair(lot.call <= last, lot.call); });
  last_call_ = next->call;
  return next;
}

void InlineHost::ring() noexcept {
  const std::lock_guard lock(mutex_);
  rung_ = true;
  work_.notify_one();
}

void InlineHost::kill() {
  const std::lock_guard lock(mutex_);
  lots_.clear();
}

void InlineHost::run_initializer() {
  Call initializer(*std::exchange(initializer_, std::nullopt));
  const task::CurrentWorkplace here(workplace_);
  Results results(no_lot, 0);
  try {
    initializer.run({.count = 1, .results = &results});
  } catch (...) {
    results.fail();
  }
  auto events = results.take();
  const std::lock_guard lock(mutex_);
  std::ranges::move(events, std::back_inserter(events_));
}

void InlineHost::run_chunk(Call& call, const Lot& lot, std::uint64_t first, std::uint64_t count) {
  const std::uint64_t skip = first - lot.piece.first;
  const std::size_t stride = call.image().input_stride;
  detail::Chunk chunk{.inputs = at(lot.piece.data), .stride = stride, .offsets = nullptr, .count = count};
  if (stride == detail::variable_stride) {
    chunk.offsets = reinterpret_cast<const std::uint64_t*>(at(lot.piece.offsets)) + skip;
  } else {
    chunk.inputs += skip * stride;
  }
  Results results(lot.id, first);
  chunk.results = &results;
  {
    const task::TaskContext context{.results = &results,
                                    .workplace = &workplace_,
                                    .call = lot.call,
                                    .random_numbers = call.image().random_numbers,
                                    .attempt = lot.attempt,
                                    .stop = call.stop_flag()};
    const task::CurrentTask current(context);
    task::forget_random_numbers();
    try {
      call.run(chunk);
    } catch (...) {
      for (std::uint64_t i = 0; i < count; ++i) results.fail();
    }
  }
  auto events = results.take();
  const std::lock_guard lock(mutex_);
  std::ranges::move(events, std::back_inserter(events_));
}

}  // namespace rankpool::host
