// Calls with a journal: what that has of their results is not asked of executors, and what they give goes there.
#include <utility>

#include <rankpool/detail/code_address.hpp>

#include "master/engine.hpp"
#include "master/engine_memory.hpp"
#include "task/exception_text.hpp"

namespace rankpool::master {
namespace {

// The pool for which this thread gives results that were kept to the user's deserialization.
thread_local const Engine* delivering_for = nullptr;

}  // namespace

bool Engine::delivers_here() const noexcept {
  return delivering_for == this || seat_.driving_here() == Driving::polling;
}

std::shared_ptr<journal::CallLog> Engine::open_log(const detail::CallSpec& spec) {
  if (spec.journal.empty()) return nullptr;
  const detail::CodeAddress kernel = detail::address_of(spec.kernel);
  host::CallId number = 0;
  {
    const Lock lock(seat_.mutex());
    check_running();
    number = next_call_++;
  }
  return journals_.open_call(std::string(spec.journal),
                             {.key = std::string(spec.journal_key),
                              .what = std::string(spec.what),
                              .build = kernel.module,
                              .function = kernel.offset,
                              .callable = journal::hash_of({spec.callable.data(), spec.callable.size()}),
                              .result_type = task::readable_type(*spec.kernel->result_type),
                              .result_stride = spec.kernel->result_stride,
                              .seed = options_.seed,
                              .number = number});
}

/// What the journal has of tasks that are drawn and not yet handed out. Without the lock: it may take a while.
std::vector<LoggedPiece> Engine::look_up(journal::CallLog& log, std::span<const BuiltPiece> pieces,
                                         std::size_t stride) {
  std::vector<LoggedPiece> logged;
  for (const auto& [piece, block, bytes] : pieces) {
    LoggedPiece found;
    found.inputs.reserve(piece.count);
    const auto* const offsets = stride == detail::variable_stride
                                    ? reinterpret_cast<const std::uint64_t*>(memory_->at(piece.offsets))
                                    : nullptr;
    const detail::Chunk all{
        .inputs = memory_->at(piece.data), .stride = stride, .offsets = offsets, .count = piece.count};
    for (std::uint64_t i = 0; i < piece.count; ++i) found.inputs.push_back(journal::hash_of(all.input(i)));
    found.kept = log.find(piece.first, found.inputs);
    logged.push_back(std::move(found));
  }
  return logged;
}

void Engine::add_missing_tasks(const Call& call, const BuiltPiece& built, const LoggedPiece& logged) {
  std::uint64_t next = built.piece.first;
  for (const journal::KeptResults& kept : logged.kept) {
    scheduler_.add_tasks(call.image.id, {next, kept.first - next});
    scheduler_.skip_tasks(call.image.id, {kept.first, kept.count});
    next = kept.first + kept.count;
  }
  scheduler_.add_tasks(call.image.id, {next, built.piece.first + built.piece.count - next});
}

void Engine::deliver(Call& call, const LoggedPiece& logged) {
  const Engine* const before = std::exchange(delivering_for, this);
  for (const journal::KeptResults& kept : logged.kept) {
    settle(call, kept.first, kept.count);
    give(call, kept.first, kept.count, kept.encoded);
  }
  delivering_for = before;
}

void Engine::record(Call& call, std::uint64_t first, std::uint64_t count, detail::Bytes encoded) {
  const auto& [piece_first, piece] = *call.piece_of(first);
  try {
    call.log->record(first, std::span(piece.inputs).subspan(first - piece_first, count), encoded);
  } catch (...) {  // for want of memory
    fail(call, std::current_exception());
  }
}

}  // namespace rankpool::master
