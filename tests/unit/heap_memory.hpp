/// @file
/// Inputs and results of calls in a test's own memory.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <utility>
#include <vector>

#include <rankpool/detail/call.hpp>
#include <rankpool/errors.hpp>

namespace rankpool::test {

using Memory = std::vector<std::byte>;

/// One piece of a call's inputs on the heap.
class HeapPiece final : public detail::PieceWriter {
 public:
  HeapPiece(std::size_t stride, std::uint64_t capacity) : stride_(stride), capacity_(capacity) {
    if (stride_ != detail::variable_stride) inputs_.reserve(static_cast<std::size_t>(capacity) * stride_);
  }

  [[nodiscard]] std::uint64_t room() const override { return capacity_ - tasks_; }

  std::byte* append(std::uint64_t tasks) override {
    if (tasks > room()) throw std::logic_error("more tasks appended than there was room for");
    tasks_ += tasks;
    return grow(static_cast<std::size_t>(tasks) * stride_);
  }

  std::byte* append_encoded(std::size_t bytes) override {
    ++tasks_;
    std::byte* room = grow(bytes);
    offsets_.push_back(inputs_.size());
    return room;
  }

  [[nodiscard]] std::uint64_t tasks() const { return tasks_; }

  /// Tasks [first, first + count) as an executor gets them.
  [[nodiscard]] detail::Chunk chunk(std::uint64_t first, std::uint64_t count) const {
    detail::Chunk chunk;
    chunk.count = count;
    chunk.inputs = inputs_.data();
    if (stride_ == detail::variable_stride) {
      chunk.offsets = offsets_.data() + first;
    } else {
      chunk.stride = stride_;
      chunk.inputs += first * stride_;
    }
    return chunk;
  }

 private:
  std::byte* grow(std::size_t bytes) {
    const std::size_t size = inputs_.size();
    inputs_.resize(size + bytes);
    return inputs_.data() + size;
  }

  std::size_t stride_;
  std::uint64_t capacity_;
  std::uint64_t tasks_ = 0;
  Memory inputs_;
  std::vector<std::uint64_t> offsets_{0};
};

/// Results of a chunk on the heap, as runs between failures.
class HeapResults final : public detail::ResultWriter {
 public:
  struct Run {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    Memory bytes;
  };
  struct Failure {
    std::uint64_t task;
    std::exception_ptr error;
  };

  explicit HeapResults(std::uint64_t first) {
    run_first_ = first;
    finished_ = &count_;
  }

  void fail() override { add_failure(std::current_exception()); }

  void fail_encoding() override {
    add_failure(std::make_exception_ptr(
        SerializationError("rankpool: the result can't be serialized: " + detail::text_of(std::current_exception()))));
  }

  void deliver(detail::ResultSink& sink) {
    close_run();
    for (const Run& run : runs_) sink.values(run.first, run.count, run.bytes);
    for (Failure& failure : failures_) sink.error(failure.task, std::move(failure.error));
  }

  [[nodiscard]] std::uint64_t finished() const { return count_; }

 private:
  void make_room(std::size_t bytes) override {
    close_run();
    memory_.resize(std::max<std::size_t>(bytes, 256));
    cursor_ = memory_.data();
    limit_ = cursor_ + memory_.size();
  }

  void add_failure(std::exception_ptr error) {
    close_run();
    failures_.push_back({run_first_, std::move(error)});
    ++run_first_;
  }

  void close_run() {
    const std::uint64_t count = count_.exchange(0);
    if (count != 0) runs_.push_back({run_first_, count, Memory(memory_.data(), cursor_)});
    run_first_ += count;
    cursor_ = memory_.data();
  }

  std::atomic<std::uint64_t> count_{0};
  Memory memory_;
  std::vector<Run> runs_;
  std::vector<Failure> failures_;
};

}  // namespace rankpool::test
