/// @file
/// Containers whose bookkeeping lives in the elements: membership changes allocate nothing and need no search.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace rankpool::scheduler {

template <typename T>
struct ListLinks {
  T* previous = nullptr;
  T* next = nullptr;
  bool linked = false;
};

/// A doubly linked list through the member `Links` of its elements, which it does not own.
template <typename T, ListLinks<T> T::*Links>
class IntrusiveList {
 public:
  IntrusiveList() = default;
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() = default;

  [[nodiscard]] bool empty() const { return front_ == nullptr; }
  [[nodiscard]] T* front() const { return front_; }
  [[nodiscard]] T* back() const { return back_; }
  [[nodiscard]] static T* previous(const T& element) { return (element.*Links).previous; }
  [[nodiscard]] static T* next(const T& element) { return (element.*Links).next; }

  /// No effect on an element that is in the list.
  void push_back(T& element) {
    ListLinks<T>& links = element.*Links;
    if (links.linked) return;
    links = {.previous = back_, .next = nullptr, .linked = true};
    (back_ != nullptr ? (back_->*Links).next : front_) = &element;
    back_ = &element;
  }

  /// No effect on an element that is not in the list.
  void erase(T& element) {
    ListLinks<T>& links = element.*Links;
    if (!links.linked) return;
    (links.previous != nullptr ? (links.previous->*Links).next : front_) = links.next;
    (links.next != nullptr ? (links.next->*Links).previous : back_) = links.previous;
    links = {};
  }

  void keep(T& element, bool member) {
    if (member) {
      push_back(element);
    } else {
      erase(element);
    }
  }

 private:
  T* front_ = nullptr;
  T* back_ = nullptr;
};

/// An element's key and place in an IndexedHeap.
struct HeapLinks {
  static constexpr std::size_t outside = static_cast<std::size_t>(-1);

  std::uint64_t key = 0;
  std::size_t position = outside;
};

/// A binary heap, the smallest key on top, of equal ones the one with the lowest id; any element can change its key or
/// leave in O(log n).
template <typename T, HeapLinks T::*Links>
class IndexedHeap {
 public:
  [[nodiscard]] bool empty() const { return elements_.empty(); }
  [[nodiscard]] T* top() const { return elements_.empty() ? nullptr : elements_.front(); }

  /// Inserts the element or moves it to its new key.
  void set(T& element, std::uint64_t key) {
    HeapLinks& links = element.*Links;
    if (links.position == HeapLinks::outside) {
      links.position = elements_.size();
      elements_.push_back(&element);
    } else if (links.key == key) {
      return;
    }
    links.key = key;
    sift(element);
  }

  /// No effect on an element that is not in the heap.
  void erase(T& element) {
    const std::size_t hole = std::exchange((element.*Links).position, HeapLinks::outside);
    if (hole == HeapLinks::outside) return;
    T* const last = elements_.back();
    elements_.pop_back();
    if (last == &element) return;
    place(*last, hole);
    sift(*last);
  }

 private:
  static bool before(const T* a, const T* b) {
    const std::uint64_t key_a = (a->*Links).key;
    const std::uint64_t key_b = (b->*Links).key;
    return key_a != key_b ? key_a < key_b : a->id < b->id;
  }

  void place(T& element, std::size_t position) {
    elements_[position] = &element;
    (element.*Links).position = position;
  }

  void sift(T& element) {
    std::size_t at = (element.*Links).position;
    while (at > 0 && before(&element, elements_[(at - 1) / 2])) {
      place(*elements_[(at - 1) / 2], at);
      at = (at - 1) / 2;
    }
    for (;;) {
      std::size_t child = 2 * at + 1;
      if (child >= elements_.size()) break;
      if (child + 1 < elements_.size() && before(elements_[child + 1], elements_[child])) ++child;
      if (!before(elements_[child], &element)) break;
      place(*elements_[child], at);
      at = child;
    }
    place(element, at);
  }

  std::vector<T*> elements_;
};

}  // namespace rankpool::scheduler
