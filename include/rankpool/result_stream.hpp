/// @file
/// Results of a call as they come: what Pool's `imap`, `imap_unordered`, `istarmap` and `istarmap_unordered` give.
#pragma once

#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <rankpool/detail/stream_reader.hpp>
#include <rankpool/options.hpp>
#include <rankpool/outcome.hpp>

namespace rankpool {

namespace detail {

/// Shows an item of a stream as the task's value, and throws its error.
template <class R>
struct AsValue {
  using value_type = R;
  using Reference = R&;
  using Next = std::optional<R>;

  static void check(const Outcome<R>& item) { static_cast<void>(item.value()); }
  static Reference show(Outcome<R>& item) { return item.value(); }
  static Next take(Outcome<R>& item) { return Next(*std::move(item)); }
};

template <>
struct AsValue<void> {
  using value_type = std::monostate;
  using Reference = std::monostate;
  using Next = bool;

  static void check(const Outcome<void>& item) { item.value(); }
  static Reference show(const Outcome<void>& item) {
    item.value();
    return {};
  }
  static Next take(const Outcome<void>& /*item*/) { return true; }
};

/// Shows an item of a stream as it is.
template <class R>
struct AsOutcome {
  using value_type = Outcome<R>;
  using Reference = Outcome<R>&;
  using Next = std::optional<Outcome<R>>;

  static void check(const Outcome<R>& /*item*/) {}
  static Reference show(Outcome<R>& item) { return item; }
  static Next take(Outcome<R>& item) { return Next(std::move(item)); }
};

/// Takes the next item out of a stream, and frees its place before an error of it is thrown.
template <class As, class R>
typename As::Next take_next(StreamReader<R>* reader, std::optional<Seconds> timeout) {
  if (reader == nullptr || !reader->advance(timeout)) return typename As::Next();
  class Release {
   public:
    explicit Release(StreamReader<R>& reader) noexcept : reader_(reader) {}
    Release(const Release&) = delete;
    Release& operator=(const Release&) = delete;
    ~Release() { reader_.release(); }

   private:
    StreamReader<R>& reader_;
  };
  const Release release(*reader);
  As::check(*reader->current());
  return As::take(*reader->current());
}

/// Walks a stream. All iterators of a stream stand where it stands.
template <class R, class As>
class StreamIterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using iterator_category = std::input_iterator_tag;
  using value_type = typename As::value_type;
  using difference_type = std::ptrdiff_t;
  using pointer = void;
  using reference = typename As::Reference;

  StreamIterator() noexcept = default;
  /// Goes on to the stream's next item.
  explicit StreamIterator(StreamReader<R>* reader) : reader_(reader) {
    if (reader_ != nullptr) ++*this;
  }

  /// @throws the item's error, where `++` has thrown it.
  reference operator*() const { return As::show(*reader_->current()); }

  /// @throws the error of the item it goes to; going on from there is possible.
  StreamIterator& operator++() {
    if (reader_->advance(std::nullopt)) As::check(*reader_->current());
    return *this;
  }
  void operator++(int) { ++*this; }

  friend bool operator==(const StreamIterator& at, std::default_sentinel_t /*end*/) noexcept {
    return at.reader_ == nullptr || at.reader_->at_end();
  }

 private:
  StreamReader<R>* reader_ = nullptr;
};

}  // namespace detail

template <class R>
class OutcomeStream;

/// The results of a call, one by one while it goes on. Mirrors the iterators of `Pool.imap` and `Pool.imap_unordered`.
///
///     for (double energy : pool.imap(simulate, parameters)) std::cout << energy << '\n';
///
/// It is an input range: each item is seen once, an item lives until the next is asked for, and may be moved from. In a
/// stream of a void function the items are std::monostate, one for each task that has ended.
///
/// **Inputs** are drawn no further ahead of the reader than MapOptions::buffersize says, so that they may be endless
/// and that memory is bounded while the reader is slow. Pool::imap draws the first ones, reading draws the others: a
/// range is walked only in the threads that do this. Slow inputs are drawn one at a time, and results that are there
/// wait for no more than one of them. A range given as an rvalue belongs to the stream, which frees it when all is
/// drawn, or with itself; a range with a name is referred to and must live as long as the stream.
///
/// **Errors.** A task's error is thrown in its place, by next() or by `++` and begin() of a loop; after that the stream
/// goes on with the next item: call next() again, or begin another loop. outcomes() throws none of them. Once each,
/// then followed by the end:
/// - what the range throws, or the serialization of one of its elements, after the results of all elements drawn before
///   it;
/// - why the call ended early: TimeoutError (MapOptions::timeout), CancelledError (terminate(), shutdown()) or
///   BrokenPool. Results that had come are given before it; in input order, those up to the first one missing.
///
/// At the end it stays at the end. A stream made without arguments, or moved from, is at the end.
///
/// **Dropping** a stream early cancels those of its tasks that have not started; it doesn't wait. A stream may outlive
/// its pool.
///
/// One thread at a time may use a stream, with its iterators and its outcomes(). In a callback that the pool runs,
/// reading what is not there yet throws std::logic_error.
///
/// @tparam R what the task returns; need be neither copyable nor assignable.
template <class R>
class [[nodiscard]] ResultStream {
  using As = detail::AsValue<R>;

 public:
  using value_type = typename As::value_type;      ///< an item
  using iterator = detail::StreamIterator<R, As>;  ///< an input iterator

  /// At its end.
  ResultStream() noexcept = default;

  /// For the library: the stream that `reader` reads.
  explicit ResultStream(std::shared_ptr<detail::StreamReader<R>> reader) noexcept : reader_(std::move(reader)) {}

  /// The other stream is at its end then.
  ResultStream(ResultStream&&) noexcept = default;
  /// Drops the stream that was here; the other one is at its end then.
  ResultStream& operator=(ResultStream&&) noexcept = default;
  ResultStream(const ResultStream&) = delete;
  ResultStream& operator=(const ResultStream&) = delete;
  ~ResultStream() = default;

  /// Waits for the next result. Mirrors `IMapIterator.next()`, with an empty optional for StopIteration.
  /// @returns the result, empty at the end. Of a void function: whether there was one more task.
  /// @throws the task's error, or the last error of the stream: see above.
  typename As::Next next() { return detail::take_next<As>(reader_.get(), std::nullopt); }

  /// The same, but waits no longer than the given time; may be called again. Mirrors `next(timeout)`.
  /// @param timeout in seconds: `2s`, `100ms`, `2.5s`; 0 and less: don't wait. It may be late by what drawing takes: of
  ///   slow inputs one, or a whole chunk where MapOptions::chunksize is given.
  /// @throws TimeoutError when the time has passed, never before that; MapOptions::timeout, too, which ends the stream.
  typename As::Next next(Seconds timeout) { return detail::take_next<As>(reader_.get(), timeout); }

  /// Goes on to the next item: a second loop begins where the first one was left.
  /// @returns an iterator there.
  /// @throws as its `++` does.
  iterator begin() { return iterator(reader_.get()); }
  /// @returns what the iterators are compared with.
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

  /// The same stream with each item as its value or error. Each item is seen through one of the two, whichever asks
  /// first; the stream lives as long as one of them does. So this is fine:
  ///
  ///     for (auto& energy : pool.imap(simulate, parameters).outcomes())
  ///       if (energy) std::cout << *energy << '\n';
  OutcomeStream<R> outcomes() { return OutcomeStream<R>(reader_); }

 private:
  std::shared_ptr<detail::StreamReader<R>> reader_;
};

/// A ResultStream whose items are the tasks' outcomes: no task's error is thrown, so that one bad task cannot cost a
/// sweep. The last error of the stream, which is none of a task, is thrown as ResultStream has it.
///
/// @tparam R what the task returns.
template <class R>
class [[nodiscard]] OutcomeStream {
  using As = detail::AsOutcome<R>;

 public:
  using value_type = Outcome<R>;                   ///< an item
  using iterator = detail::StreamIterator<R, As>;  ///< an input iterator

  /// At its end.
  OutcomeStream() noexcept = default;

  /// For the library: the stream that `reader` reads.
  explicit OutcomeStream(std::shared_ptr<detail::StreamReader<R>> reader) noexcept : reader_(std::move(reader)) {}

  /// The other stream is at its end then.
  OutcomeStream(OutcomeStream&&) noexcept = default;
  /// Drops the stream that was here; the other one is at its end then.
  OutcomeStream& operator=(OutcomeStream&&) noexcept = default;
  OutcomeStream(const OutcomeStream&) = delete;
  OutcomeStream& operator=(const OutcomeStream&) = delete;
  ~OutcomeStream() = default;

  /// Waits for the next outcome.
  /// @returns it; empty at the end.
  /// @throws the last error of the stream.
  std::optional<Outcome<R>> next() { return detail::take_next<As>(reader_.get(), std::nullopt); }

  /// The same, but waits no longer than the given time; may be called again.
  /// @param timeout in seconds; 0 and less: don't wait. It may be late by what drawing takes, as for ResultStream.
  /// @throws TimeoutError when the time has passed, never before that.
  std::optional<Outcome<R>> next(Seconds timeout) { return detail::take_next<As>(reader_.get(), timeout); }

  /// Goes on to the next item: a second loop begins where the first one was left.
  /// @returns an iterator there.
  /// @throws as its `++` does.
  iterator begin() { return iterator(reader_.get()); }
  /// @returns what the iterators are compared with.
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  std::shared_ptr<detail::StreamReader<R>> reader_;
};

}  // namespace rankpool
