// The pool that run() lends its master: wherever the master moves it, it ends with run().
#pragma once

#include <memory>
#include <string>

#include <rankpool/detail/call_spec.hpp>

namespace rankpool::launch {

/// In front of a pool that run() owns. When that is gone, calls throw PoolClosed and all else does nothing.
class LentPool final : public detail::PoolCore {
 public:
  explicit LentPool(const std::shared_ptr<detail::PoolCore>& pool);

  void run(const detail::CallSpec& spec, detail::InputSource& source, detail::ResultSink& sink) override;
  void start(const detail::CallSpec& spec, std::optional<std::uint64_t> total,
             std::shared_ptr<detail::AsyncCall> call) override;
  bool feed(detail::AsyncCall& call, detail::InputSource& source, std::uint64_t most) override;
  bool await(const detail::Condition& condition, detail::Deadline deadline) override;
  bool cancel(detail::AsyncCall& call) override;
  void drop(detail::AsyncCall& call) noexcept override;
  bool running(const detail::AsyncCall& call) override;
  void close() override;
  void join() override;
  void terminate() override;
  void cancel_pending() override;
  [[nodiscard]] int processes() const override { return processes_; }
  [[nodiscard]] PoolState state() const override;
  [[nodiscard]] std::string name() const override { return name_; }

  /// Whether this thread runs user code for the pool, such as a result's deserialization, and may hold its lock.
  static bool works_here();

 private:
  std::weak_ptr<detail::PoolCore> pool_;
  int processes_;
  std::string name_;
};

}  // namespace rankpool::launch
