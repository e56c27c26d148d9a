// What a program gets to hold of a pool.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/home_process.hpp>

#include "launch/end_watch.hpp"

namespace rankpool::launch {

/// In front of a pool that run() owns: wherever the master moves it, it ends with run(). Then calls throw PoolClosed
/// and all else does nothing. The same in a process that the owner forked, where calls throw std::logic_error.
class LentPool : public detail::PoolCore {
 public:
  explicit LentPool(const std::shared_ptr<detail::PoolCore>& pool);

  void run(const detail::CallSpec& spec, detail::InputSource& source, detail::ResultSink& sink) override;
  void start(const detail::CallSpec& spec, std::optional<std::uint64_t> total,
             std::shared_ptr<detail::AsyncCall> call) override;
  void close() override;
  void join() override;
  void terminate() override;
  void cancel_pending() override;
  detail::SharedHandle make_object(const detail::SharedSpec& spec) override;
  void check_may_wait() const override;
  [[nodiscard]] bool delivers_here() const noexcept override;
  [[nodiscard]] int processes() const override;
  [[nodiscard]] PoolState state() const override;
  [[nodiscard]] std::string name() const override { return name_; }

 protected:
  [[nodiscard]] bool is_at_home() const { return home_.is_here(); }

 private:
  template <class Work>
  void do_at_home(const Work& work) const;

  [[nodiscard]] std::shared_ptr<detail::PoolCore> pool_for(std::string_view what) const;

  std::weak_ptr<detail::PoolCore> pool_;
  int planned_processes_;
  std::string name_;
  detail::HomeProcess home_;
};

/// The same in front of a pool that Pool::open() gives away, which it owns.
class OpenedPool final : public LentPool {
 public:
  /// @param end_watch null where nobody watches for the end of the job.
  OpenedPool(std::shared_ptr<detail::PoolCore> pool, std::unique_ptr<EndWatch> end_watch);
  OpenedPool(const OpenedPool&) = delete;
  OpenedPool& operator=(const OpenedPool&) = delete;
  /// A fork lets the pool be: it would end that of its parent.
  ~OpenedPool() override;

 private:
  std::shared_ptr<detail::PoolCore> pool_;
  std::unique_ptr<EndWatch> end_watch_;
};

}  // namespace rankpool::launch
