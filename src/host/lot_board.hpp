// The leader's side of the posted lots: it puts them up, takes them back, and keeps account of their tasks.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory_resource>
#include <optional>
#include <unordered_map>

#include "host/channel.hpp"
#include "host/lot_book.hpp"
#include "support/node_recycler.hpp"

namespace rankpool::host {

class LotBoard {
 public:
  explicit LotBoard(Channel& channel) : channel_(channel) {}

  /// Puts the lot up, or keeps it until there is a slot for it. `image`: offset of the call's header in the channel.
  void post(const Lot& lot, std::uint64_t image);
  /// Claims what no executor has claimed. @returns it: settled, to be reported as returned; a count of 0 if nothing.
  TaskRange take_back(LotId lot);
  /// The same for all lots: from here on nothing of them is claimed.
  void take_back_all();
  /// Settles tasks that have ended. @returns false when they are not outstanding in an open lot.
  bool settle(LotId lot, std::uint64_t first, std::uint64_t count);

  /// Lots that are kept are put up where others are used up, though their tasks have not ended: these may wait for
  /// those that are kept.
  void park_for_waiting();

  /// Calls `visit` with the account of each lot that is not kept, and the slot in which it is or was.
  template <class Visit>
  void for_each_lot(const Visit& visit) const {
    for (std::uint32_t slot = 0; slot < max_lots; ++slot) {
      if (accounts_[slot]) visit(*accounts_[slot], slot);
    }
    for (const auto& [lot, parked] : parked_) visit(parked.account, parked.slot);
  }
  [[nodiscard]] LotAccount* account_of(LotId lot);
  /// Whether every task of the lot has been claimed.
  [[nodiscard]] bool is_exhausted(LotId lot) const;
  /// Whether any task of the lot has been claimed.
  [[nodiscard]] bool has_begun(LotId lot) const;
  /// Nobody need look for work in those that are.
  void hide_exhausted();
  /// As many as there are tasks that nobody has claimed and nobody is about to.
  void wake_executors();
  /// As many as there are tasks that nobody has claimed: one that is awake may stand still.
  void wake_for_all_unclaimed();
  /// One more executor serves from now on, or one less.
  void note_serving() { ++serving_; }
  void note_gone() { --serving_; }
  /// Tasks of the lots that are up which nobody has claimed, is about to, or is to be woken for.
  [[nodiscard]] std::uint64_t unattended_tasks() const;
  [[nodiscard]] bool empty() const { return slots_.empty() && parked_.empty() && waiting_.empty(); }

 private:
  struct Waiting {
    Lot lot;
    std::uint64_t image;
  };

  /// One whose tasks are all claimed and have not all ended: its slot is another's.
  struct Parked {
    LotAccount account;
    std::uint32_t slot;
  };

  [[nodiscard]] std::optional<std::uint32_t> free_slot();
  [[nodiscard]] bool is_being_claimed(std::uint32_t slot) const;
  void put_up_next();
  [[nodiscard]] bool exhausted(std::uint32_t slot) const;
  [[nodiscard]] std::uint64_t unclaimed_tasks() const;
  [[nodiscard]] std::uint64_t executors_looking(std::uint64_t tasks_under_way) const;
  void put_up(const Waiting& waiting, std::uint32_t slot);
  void wake(std::uint64_t executors);
  void close(std::uint32_t slot);
  bool settle_parked(LotId lot, std::uint64_t first, std::uint64_t count);

  Channel& channel_;
  std::array<std::optional<LotAccount>, max_lots> accounts_;
  support::NodeRecycler nodes_;
  std::pmr::unordered_map<LotId, std::uint32_t> slots_{&nodes_};
  std::pmr::map<LotId, Parked> parked_{&nodes_};
  std::deque<Waiting> waiting_;
  std::uint32_t next_slot_ = 0;
  std::uint64_t serving_ = 0;      ///< executors
  std::uint64_t outstanding_ = 0;  ///< tasks of all lots that are not kept
};

}  // namespace rankpool::host
